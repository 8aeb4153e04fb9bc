"""A recipe as a dataset shows it. Comes in: a recipe as it is stored. Goes out: what may be read by
whoever gets the dataset. Pure."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final, cast

import yaml

from prefmill.contracts.recipe import PluginSpec
from prefmill.plugins.source import with_each

_FILES: Final = ("jsonl", "csv", "parquet", "hub")
_TEMPLATES: Final = ("template", "templates")
_MODEL: Final = ("model", "lora", "tokenizer", "chat_template", "hf_config_path", "download_dir")
_DATA: Final = ("columns", "inline", "system", "wordings")
"""What is text or data, not options."""
_SECRET: Final = re.compile(
    r"(.*[_-])?(api[_-]?key|token|secret|password|authorization)", re.IGNORECASE
)
_IN_URL: Final = re.compile(r"(\w+://)[^/\s@]+@")

Dumped = dict[str, Any]


def shown(recipe: Dumped) -> Dumped:
    """A dumped recipe that names files without the folders of the machine they lay on, and holds
    no key or password, should it have come with one."""
    made = cast("Dumped", _without_secrets(recipe))
    made["source"] = with_each(made["source"], lambda one, _: _named(one, _FILES))
    if plugins := made.get("plugins"):
        made["plugins"] = {name_of(path): sha256 for path, sha256 in plugins.items()}
    if judge := made.get("judge"):
        made["judge"] = {**judge, "rubric": _named(judge["rubric"], _TEMPLATES)}
    for side in ("models", "judges"):
        if isinstance(specs := made.get(side), Mapping):
            named = cast("Mapping[str, Any]", specs).items()
            made[side] = {alias: _named(spec, _MODEL) for alias, spec in named}
    return made


def text_of(recipe: Dumped) -> str:
    """A dumped recipe as a person writes one: YAML, keys in the order of the recipe."""
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=100)


def name_of(path: str) -> str:
    """The name alone of a file or folder that is named from the root: of a local model, too."""
    return PurePosixPath(path).name if path.startswith("/") else path


def without_prompts(recipe: Dumped) -> Dumped:
    """A dumped recipe that says of prompts written into it only how many they are."""
    return {**recipe, "source": with_each(recipe["source"], _counted)}


def _counted(source: PluginSpec, where: str) -> PluginSpec:
    del where
    if "inline" not in source:
        return source
    prompts = source["inline"]
    count = len(prompts) if isinstance(prompts, list) else 0
    return {**source, "inline": f"left out: {count} prompts"}


def _named(spec: Any, keys: tuple[str, ...]) -> Any:
    if isinstance(spec, list):
        return [_named(one, keys) for one in cast("list[Any]", spec)]
    if not isinstance(spec, Mapping):
        return spec
    items = cast("Mapping[str, Any]", spec).items()
    return {key: _names(value) if key in keys else value for key, value in items}


def _names(value: Any) -> Any:
    if isinstance(value, list):
        return [_names(one) for one in cast("list[Any]", value)]
    return name_of(value) if isinstance(value, str) else value


def _without_secrets(value: Any, key: str = "") -> Any:
    if key in _DATA:
        return value
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _without_secrets(inner, name) for name, inner in items}
    if isinstance(value, list):
        return [_without_secrets(inner, key) for inner in cast("list[Any]", value)]
    if not isinstance(value, str) or "$" in value:  # filled from the environment
        return value
    return "left out" if _SECRET.fullmatch(key) else _IN_URL.sub(r"\1", value)

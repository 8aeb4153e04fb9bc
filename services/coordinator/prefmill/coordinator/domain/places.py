"""What a recipe that came over the network may not name: paths of the machine that reads it.

`prefmill submit` sends prompt files along as uploads, and the texts of templates and rubric files
within the recipe, so that none is needed. Nor may a dataset go where somebody's files are. Pure,
but for a look at that folder, and whether a repository's name is a folder here too: `datasets`
would read that one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from pydantic import JsonValue

from prefmill.contracts.recipe import PluginSpec, Recipe
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.folders import taken
from prefmill.plugins.source import with_each

FILES: Final = ("jsonl", "csv", "parquet")
FOLDERS: Final = ("template", "templates")
TEXTS: Final = ("inline", "columns", "note")
"""Options that hold what the user wrote, and may begin with anything."""

REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
ROOTED: Final = ("/", "~", "./", "../", "file:")
STORE: Final = re.compile(r"(s3|s3a|gs|gcs|az|abfs|abfss|adl|oss|oci)://[^:]+")
"""Object stores that an export may go to, with the sink's own credentials."""

REFUSED: Final = (
    "is a path of the coordinator, which a recipe from elsewhere may not name; hand the recipe "
    "over with `prefmill submit`, which sends files along"
)


CODE: Final = (
    "is code, which a recipe from elsewhere may not bring; install it there as a distribution "
    "(docs/plugins.md)"
)

LEAKS: Final = (
    "would send a variable of the worker's environment to an address of the recipe's choice, which "
    "a recipe from elsewhere may not; name a deployed model"
)


def refuse_places(recipe: Recipe) -> None:
    """RecipeError names every path in the recipe."""
    problems = [f"{where}: {value!r} {REFUSED}" for where, value in _places(recipe)]
    problems += [f"plugins: {path!r} {CODE}" for path in recipe.plugins]
    problems += [f"{where}: {value!r} {LEAKS}" for where, value in _variables(recipe)]
    if problems:
        raise RecipeError(*problems)
    for spec in (recipe.output.model_extra or {}).values():
        address = cast("dict[str, Any]", spec).get("to") if isinstance(spec, dict) else spec
        refuse_folder(address if isinstance(address, str) else None)


def refuse_folder(directory: str | None) -> None:
    """RecipeError if an export is to go anywhere but below the sink's folder or to a store."""
    if not directory or STORE.fullmatch(directory):
        return
    parts = PurePosixPath(directory).parts
    if "://" in directory or directory.startswith(ROOTED) or ".." in parts or "\\" in directory:
        raise RecipeError(
            f"directory: {directory!r} lies outside of the sink's folder, where exports of a "
            "coordinator that is not yours go; leave it out and download the export"
        )


def refuse_taken(directory: str | None, exports: Path, configs: Iterable[str] = ()) -> None:
    """RecipeError if a dataset with these configs may not go to a folder, where it can be seen from
    here: the sink may write on another machine, and looks itself. Blocking."""
    if not directory or "://" in directory:
        return
    if why := taken(exports / directory, configs):
        raise RecipeError(f"directory: {why}")


def _places(recipe: Recipe) -> Iterator[tuple[str, str]]:
    yield from _sources(recipe.source)
    specs: list[tuple[str, Mapping[str, JsonValue]]] = [
        ("generate.sampler", recipe.generate.sampler),
        *((f"transforms.{n}", spec) for n, spec in enumerate(recipe.transforms)),
        *((f"output.transforms.{n}", spec) for n, spec in enumerate(recipe.output.transforms)),
        ("pool.judges", recipe.pool.judges),
        ("pool.aspects", recipe.pool.aspects),
    ]
    specs += [(f"output.formats.{n}", spec) for n, spec in enumerate(recipe.output.formats)]
    others = recipe.output.model_extra or {}
    specs += [("output", others)]
    specs += [(f"output.{k}", spec) for k, spec in others.items() if isinstance(spec, dict)]
    specs += [(f"models.{alias}", spec.options()) for alias, spec in recipe.models.items()]
    specs += [(f"judges.{alias}", spec.options()) for alias, spec in recipe.judges.items()]
    for where, spec in specs:
        yield from _rooted(spec, where)
    for rubric in recipe.judge.rubrics if recipe.judge else ():
        yield from _rubric(rubric)


def _variables(recipe: Recipe) -> Iterator[tuple[str, str]]:
    for side, specs in (("models", recipe.models), ("judges", recipe.judges)):
        for alias, spec in specs.items():
            options = {} if spec.lane else spec.options()
            if isinstance(name := options.get("api_key_env"), str):
                yield f"{side}.{alias}.api_key_env", name
            headers = options.get("headers")
            for value in headers.values() if isinstance(headers, dict) else ():
                if isinstance(value, str) and "$" in value:
                    yield f"{side}.{alias}.headers", value


def _sources(source: PluginSpec) -> Iterator[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def look(one: PluginSpec, where: str) -> PluginSpec:
        found.extend(_source(one, where))
        return one

    with_each(source, look)
    yield from found


def _source(source: PluginSpec, where: str) -> Iterator[tuple[str, str]]:
    for key in FILES:
        for path in _strings(source.get(key)):
            if not path.startswith("upload:"):
                yield f"{where}.{key}", path
    for name in _strings(source.get("hub")):
        if not REPOSITORY.fullmatch(name) or Path(name).exists():
            yield f"{where}.hub", name
    plain = {key: value for key, value in source.items() if key not in (*FILES, *TEXTS, "hub")}
    yield from _rooted(plain, where)


def _rubric(rubric: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    for key, value in rubric.items():
        where = f"judge.rubric.{key}"
        if key in FOLDERS:
            yield from ((where, path) for path in _strings(value))
        else:
            yield from _rooted({key: value}, "judge.rubric")


def _rooted(spec: Mapping[str, JsonValue], where: str) -> Iterator[tuple[str, str]]:
    for key, value in spec.items():
        yield from ((f"{where}.{key}", t) for t in _strings(value) if t.startswith(ROOTED))


def _strings(value: JsonValue) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]

"""What a recipe names on this machine goes along with it: prompt files as uploads, templates and
rubric files as the texts that they hold."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefmill.cli.client import Client
from prefmill.cli.show.numbers import plural
from prefmill.contracts.recipe import JudgeStep, PluginSpec, Recipe
from prefmill.coordinator.domain.places import CODE, FILES, FOLDERS, REPOSITORY
from prefmill.coordinator.domain.rubrics import rubrics_of, separate
from prefmill.coordinator.sources.files import Paths, files_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.source import with_each

Say = Callable[[str], None]


def sent(recipe: Recipe, client: Client, say: Say) -> Recipe:
    """The recipe for a coordinator elsewhere; what it names here has been sent. RecipeError for
    what cannot be read, or cannot be sent."""
    if recipe.plugins:
        raise RecipeError(*(f"plugins: {path!r} {CODE}" for path in recipe.plugins))
    update: dict[str, Any] = {
        "source": with_each(recipe.source, lambda one, where: _source(one, where, client, say))
    }
    if recipe.judge and any(key in spec for spec in recipe.judge.rubrics for key in FOLDERS):
        update["judge"] = _inlined(recipe, recipe.judge)
    return recipe.model_copy(update=update)


def _source(source: PluginSpec, where: str, client: Client, say: Say) -> PluginSpec:
    hub = source.get("hub")
    if isinstance(hub, str) and (not REPOSITORY.fullmatch(hub) or Path(hub).is_dir()):
        raise RecipeError(
            f"{where}.hub: {hub} is a folder of this machine, which the coordinator cannot read; "
            "name its files instead, for example with `parquet`"
        )
    return {
        key: _uploads(value, key, client, say) if key in FILES else value
        for key, value in source.items()
    }


def _uploads(paths: Any, option: str, client: Client, say: Say) -> Any:
    found: Paths = paths
    references = [_reference(file, client, say) for file in files_of(found, option)]
    return references if len(references) > 1 else references[0]


def _reference(file: Path, client: Client, say: Say) -> str:
    """`upload:SHA256/NAME`; the same content is not sent twice."""
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if not client.uploaded(sha256):
            size = file.stat().st_size
            say(f"sending {file.name} ({plural(size, 'byte')})")
            stream.seek(0)
            sha256 = client.upload(stream, size).sha256
    return f"upload:{sha256}/{file.name}"


def _inlined(recipe: Recipe, judge: JudgeStep) -> JudgeStep:
    """The judge step with texts in place of the paths of templates."""
    specs = [
        {key: made.options[key] if _is_path(key, value) else value for key, value in spec.items()}
        for spec, made in zip(separate(judge.rubrics), rubrics_of(recipe), strict=True)
    ]
    return judge.model_copy(update={"rubric": specs[0] if len(specs) == 1 else tuple(specs)})


def _is_path(key: str, value: Any) -> bool:
    return key in FOLDERS and isinstance(value, str)

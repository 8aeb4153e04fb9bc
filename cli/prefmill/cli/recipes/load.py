"""A recipe file becomes a `Recipe`; whatever is wrong with it is said at once, by file and line."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from prefmill.cli.recipes.document import Document, parse
from prefmill.cli.recipes.overrides import set_all
from prefmill.cli.recipes.secrets import secrets_in
from prefmill.cli.recipes.sentences import keys_at, sentences
from prefmill.contracts.recipe import Recipe
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.source import with_each

_FILES = ("jsonl", "csv", "parquet")
_FOLDERS = ("templates", "template")
_UNKNOWN = re.compile(r"((?:models|judges)\.(.+)\.([^.:]+)): unknown key; (.*)", re.DOTALL)


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe and where its keys stand."""

    path: Path
    recipe: Recipe
    document: Document

    def placed(self, error: RecipeError) -> list[str]:
        """The problems of a plugin's check, each with file and line."""
        return [_placed(self.document, _with_own_keys(problem)) for problem in error.problems]


def load(path: Path, settings: tuple[str, ...] = (), rows: int | None = None) -> LoadedRecipe:
    """Read a recipe; `rows` is `source.rows`. RecipeError holds all problems, each with its place.

    Relative paths in it are taken from the recipe's folder.
    """
    document = parse(_text(path), str(path))
    if not isinstance(document.value, dict):
        raise RecipeError(f"{path}: a recipe is a mapping that begins with `name:` and `source:`")
    if rows is not None:
        settings = (*settings, f"source.rows={rows}")
    document = set_all(document, settings)
    if problems := secrets_in(document.value):
        raise RecipeError(*(_placed(document, problem) for problem in problems))
    value = _absolute(document.value, path.absolute().parent)
    try:
        recipe = Recipe.model_validate(value)
    except ValidationError as error:
        raise RecipeError(*(_placed(document, said) for said in sentences(error))) from error
    if recipe.plugins:
        recipe = recipe.model_copy(update={"plugins": _hashed(recipe.plugins, document)})
    return LoadedRecipe(path, recipe, document)


def _hashed(files: dict[str, str], document: Document) -> dict[str, str]:
    """The plugin files, each with the hash of what it holds now."""
    from prefmill.plugins.files import sha256_of, source_of

    hashed: dict[str, str] = {}
    problems: list[str] = []
    for path, sha256 in files.items():
        try:
            hashed[path] = sha256_of(source_of(path))
        except RecipeError as error:
            problems += error.problems
        if sha256 and hashed.get(path) != sha256:
            problems.append(f"{path}: it is not the file of this recipe, whose hash is {sha256}")
    if problems:
        raise RecipeError(*(_placed(document, f"plugins: {problem}") for problem in problems))
    return hashed


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: there is no such file") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error


def _placed(document: Document, problem: str) -> str:
    where = problem.partition(": ")[0]
    return f"{document.place_of(where)}: {problem}"


def _with_own_keys(problem: str) -> str:
    """Engines check the keys beside `engine`, but do not know those that every model has."""
    found = _UNKNOWN.fullmatch(problem)
    if not found:
        return problem
    where, _, key, hint = found.groups()
    close = difflib.get_close_matches(key, keys_at(("models", "any")), n=1)
    theirs = re.fullmatch(r"did you mean '(.*)'\?", hint)
    if not close or (theirs and _likeness(key, theirs[1]) >= _likeness(key, close[0])):
        return problem
    return f"{where}: unknown key; did you mean {close[0]!r}?"


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _absolute(value: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe with its files and template folders named from the root."""
    source, judge = value.get("source"), value.get("judge")
    rooted = dict(value)
    if plugins := value.get("plugins"):
        rooted["plugins"] = _joined_keys(plugins, folder)
    if isinstance(source, dict):
        source = cast("dict[str, Any]", source)
        rooted["source"] = with_each(
            source, lambda one, _: _rooted(one, (*_FILES, *_local_hub(one)), folder)
        )
    if isinstance(judge, dict):
        judge = cast("dict[str, Any]", judge)
        rooted["judge"] = judge | {"rubric": _rooted(judge.get("rubric"), _FOLDERS, folder)}
    return rooted


def _local_hub(source: Mapping[str, Any]) -> tuple[str, ...]:
    """`org/name` is a repository; what begins with a dot or a tilde is a folder."""
    hub = source.get("hub")
    return ("hub",) if isinstance(hub, str) and hub.startswith((".", "~")) else ()


def _rooted(spec: Any, keys: tuple[str, ...], folder: Path) -> Any:
    if isinstance(spec, list):
        return [_rooted(item, keys, folder) for item in cast("list[Any]", spec)]
    if not isinstance(spec, dict):
        return spec
    items = cast("dict[str, Any]", spec).items()
    return {key: _join(inner, folder) if key in keys else inner for key, inner in items}


def _joined_keys(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {_join(path, folder): hashed for path, hashed in cast("Any", value).items()}
    return _join(value, folder)


def _join(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_join(item, folder) for item in cast("list[Any]", value)]
    if isinstance(value, str) and value and "://" not in value:
        return str(folder / Path(value).expanduser())
    return value

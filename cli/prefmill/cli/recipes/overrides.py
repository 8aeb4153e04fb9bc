"""`--set a.b=c`: values of the command line over those of the file."""

import difflib
from typing import Any, cast

import yaml

from prefmill.cli.recipes.document import Document, Path
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.shallow import read_yaml

_ALIASED = ("models", "judges")


def set_all(document: Document, settings: tuple[str, ...]) -> Document:
    """The document with every setting made. RecipeError holds all problems."""
    problems: list[str] = []
    value, places = document.value, dict(document.places)
    for setting in settings:
        origin = f"--set {setting}"
        try:
            path = _set(value, setting, origin)
        except RecipeError as error:
            problems.extend(error.problems)
        else:
            places = {p: at for p, at in places.items() if p[: len(path)] != path}
            places[path] = origin
    if problems:
        raise RecipeError(*problems)
    return Document(document.name, value, places)


def _set(value: Any, setting: str, origin: str) -> Path:
    dotted, sign, text = setting.partition("=")
    if not sign or not dotted.strip("."):
        raise RecipeError(f"{origin}: write it as KEY.KEY=VALUE")
    try:
        wanted = read_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{origin}: {text!r} is not YAML; quote it") from error
    path = _path(value, dotted, origin)
    _refuse_new_alias(value, path, origin)
    inner = value
    for index, key in enumerate(path[:-1]):
        inner = _step(inner, key, path[: index + 1], origin)
    if isinstance(inner, list):
        inner[_index(cast("list[Any]", inner), path[-1], path[:-1], origin)] = wanted
    else:
        inner[path[-1]] = wanted
    return path


def _path(value: Any, dotted: str, origin: str) -> Path:
    """Split at the dots, but keep whole any key that exists and holds dots itself."""
    path: Path = ()
    rest = dotted
    while rest:
        key = _longest(value, rest)
        rest = rest[len(key) + 1 :]
        part: str | int = int(key) if isinstance(value, list) and key.isdecimal() else key
        path = (*path, part)
        value = _inside(value, part)
    if "" in path:
        raise RecipeError(f"{origin}: write it as KEY.KEY=VALUE")
    return path


def _longest(value: Any, rest: str) -> str:
    known = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    fitting = [key for key in known if rest == key or rest.startswith(f"{key}.")]
    return max(fitting, key=len) if fitting else rest.partition(".")[0]


def _inside(value: Any, key: str | int) -> Any:
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value).get(key)
    if isinstance(value, list) and isinstance(key, int):
        items = cast("list[Any]", value)
        return items[key] if key < len(items) else None
    return None


def _refuse_new_alias(value: Any, path: Path, origin: str) -> None:
    """A misspelt alias would silently become a new model."""
    if len(path) < 3 or path[0] not in _ALIASED:
        return
    known = list(cast("dict[str, Any]", value.get(path[0]) or {}))
    if path[1] not in known:
        close = difflib.get_close_matches(str(path[1]), known, n=1)
        there = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
        raise RecipeError(f"{origin}: the recipe has no {path[0]}.{path[1]}; {there}")


def _step(value: Any, key: str | int, path: Path, origin: str) -> Any:
    if isinstance(value, list):
        items = cast("list[Any]", value)
        inner = items[_index(items, key, path[:-1], origin)]
    else:
        inner = value.get(key)
        if inner is None:
            inner = value[key] = {}
    if not isinstance(inner, (dict, list)):
        where = ".".join(map(str, path))
        raise RecipeError(f"{origin}: {where} is {inner!r}, which has no keys; set it as a whole")
    return cast("Any", inner)


def _index(items: list[Any], key: str | int, path: Path, origin: str) -> int:
    if isinstance(key, int) and key < len(items):
        return key
    where = ".".join(map(str, path))
    raise RecipeError(f"{origin}: {where} is a list of {len(items)}; name an item by its number")

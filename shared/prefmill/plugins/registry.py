"""Finds plugins by entry point, and makes their options from what a recipe says."""

import difflib
from collections.abc import Generator, Iterable, Mapping, Set
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final

from pydantic import JsonValue, ValidationError

from prefmill.plugins.errors import RecipeError
from prefmill.plugins.wording import found_in, said_of

GROUPS: Final = (
    "engines",
    "sources",
    "samplers",
    "transforms",
    "rubrics",
    "pools",
    "formats",
    "destinations",
)


_NONE: Final[Mapping[tuple[str, str], Any]] = MappingProxyType({})
_OWN: Final[ContextVar[Mapping[tuple[str, str], Any]]] = ContextVar("own", default=_NONE)
"""Plugins of the files of the recipe in hand."""


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """Name → entry point of all plugins of a group. Two of one name are an error."""
    found: dict[str, EntryPoint] = {}
    for point in _declared().select(group=f"prefmill.{group}"):
        known = found.setdefault(point.name, point)
        if known.value != point.value:
            raise RecipeError(
                f"two {group} are named {point.name!r}: {known.value} and {point.value}; "
                "uninstall one of their distributions"
            )
    return found


@cache
def _declared() -> Any:
    """Those of all distributions: reading their metadata is what takes long."""
    return entry_points()


def forget() -> None:
    """Look for plugins anew: distributions have come or gone in this process."""
    installed.cache_clear()
    _declared.cache_clear()
    _load.cache_clear()


@contextmanager
def with_own(plugins: Mapping[tuple[str, str], Any]) -> Generator[None]:
    """Within it, these plugins, by group and name, are known beside those installed."""
    token = _OWN.set(plugins)
    try:
        yield
    finally:
        _OWN.reset(token)


def names(group: str) -> Set[str]:
    """The names of all plugins of a group, those of the recipe's own files included."""
    return {*installed(group), *(name for own, name in _OWN.get() if own == group)}


def load(group: str, name: str) -> Any:
    """The plugin class. RecipeError lists what exists, or says why its import failed."""
    return _OWN.get().get((group, name)) or _load(group, name)


@cache
def _load(group: str, name: str) -> Any:
    point = installed(group).get(name)
    if point is None:
        raise RecipeError(f"no {group[:-1]} named {name!r}{nearest(name, names(group))}")
    try:
        return point.load()
    except Exception as error:
        what = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise RecipeError(
            f"the {group[:-1]} {name!r} ({point.value}) cannot be imported: {what}{error}; "
            "install what it needs"
        ) from error


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the list of what exists."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return (
        f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known) or 'none'}"
    )


def name_in(group: str, spec: Mapping[str, JsonValue]) -> str:
    """The key of `spec` that names a plugin of `group`."""
    named = [key for key in spec if key in names(group)]
    if len(named) == 1:
        return named[0]
    if named:
        raise RecipeError(f"{' and '.join(named)}: name one of the {group}, not several")
    first = next(iter(spec), "")
    raise RecipeError(f"no {group[:-1]} named {first!r}{nearest(first, names(group))}")


def options_of(plugin: Any, values: Mapping[str, JsonValue], where: str) -> Any:
    """The plugin's checked options. RecipeError names each wrong one and the nearest known."""
    try:
        return plugin.Options.model_validate(dict(values))
    except ValidationError as error:
        raise RecipeError(*explain(error, plugin.Options, where)) from error


def named_options(group: str, spec: Mapping[str, JsonValue], where: str) -> tuple[Any, Any]:
    """Plugin and options of a spec `{name: main option, other: options}`. A null main option
    is left out, so that its default holds."""
    name = name_in(group, spec)
    plugin = load(group, name)
    values = {key: value for key, value in spec.items() if key != name or value is not None}
    return plugin, options_of(plugin, values, where)


def explain(error: ValidationError, model: Any, where: str) -> list[str]:
    """Each problem of a validation as one sentence, with its place."""
    return [_sentence(problem, model, where) for problem in found_in(error)]


def _sentence(problem: Any, model: Any, where: str) -> str:
    place = ".".join(str(part) for part in (where, *problem["loc"]) if part != "")
    match problem["type"], problem["loc"]:
        case "extra_forbidden", (key,):
            return f"{place}: unknown key{nearest(str(key), _keys(model))}"
        case "extra_forbidden", _:
            return f"{place}: unknown key"
        case "missing", _:
            return f"{place}: this key is missing"
        case _:
            pass
    return f"{place}: {said_of(problem)}"


def _keys(model: Any) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]

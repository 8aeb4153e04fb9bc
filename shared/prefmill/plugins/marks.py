"""Decorators that turn one function of a recipe's own file into a plugin.

They only mark it: it stays the function it is, to be called and tested as such. What a marked
function becomes is `prefmill.plugins.functions`; how its file is found, `prefmill.plugins.files`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, cast, overload

F = TypeVar("F", bound=Callable[..., Any])

MARK: Final = "__prefmill__"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a decorator said of a function. `takes` names the one thing it is given."""

    group: str
    name: str
    takes: str
    settings: Mapping[str, Any]


@overload
def pool(function: F, /) -> F: ...
@overload
def pool(*, name: str = "") -> Callable[[F], F]: ...
def pool(function: F | None = None, /, *, name: str = "") -> F | Callable[[F], F]:
    """`f(ratings)` → one score, or None, per generation. `ratings` is a list for each rater, with a
    number, or None, per generation."""
    return _marked(function, "pools", name, "ratings", {})


@overload
def transform(function: F, /) -> F: ...
@overload
def transform(*, name: str = "") -> Callable[[F], F]: ...
def transform(function: F | None = None, /, *, name: str = "") -> F | Callable[[F], F]:
    """`f(row)` → the row as it goes on, or whether it does. `row` is a mapping as
    `prefmill.plugins.records` has it. It looks at this row alone."""
    return _marked(function, "transforms", name, "row", {})


def format(  # noqa: A001 - only ever `prefmill.plugins.format`
    bare: None = None,
    /,
    *,
    columns: Mapping[str, Any] = MappingProxyType({}),
    name: str = "",
    training: bool = True,
) -> Callable[[F], F]:
    """`f(row)` → a record, a list of them, `"tie"`, or None if the row makes none. `columns` says
    of what type each is: `str`, `int`, `float`, `bool`, `[str]` for a list, `{"role": str}` for a
    record; `id` and `metadata` are added. `training`: whether trainers read it as it is."""
    if bare is not None or not columns:
        raise TypeError('say which columns: `@prefmill.plugins.format(columns={"prompt": str})`')
    for column, kind in columns.items():
        _check_kind(column, kind)
    settings = {"columns": dict(columns), "training": training}
    return _marked(None, "formats", name, "row", settings)


def rubric(
    bare: None = None,
    /,
    *,
    user: str = "",
    scale: tuple[float, float] | None = None,
    system: str = "",
    aspects: Sequence[str] | Mapping[str, str] = ("overall",),
    shows: Literal["all", "each", "pairs"] = "each",
    tokens: int = 150,
    people: Sequence[str | Mapping[str, str]] = (),
    name: str = "",
) -> Callable[[F], F]:
    """`f(answer)` → what a judge's answer says: a rating, `(rating, rationale)`, or None if it says
    none; with `shows="all"` a list of them, one per text; with `shows="pairs"` `"A"`, `"B"` or
    `"tie"`. `system` and `user` are templates as those of the rubric `template`; `tokens` is about
    what a judge writes for one text, `people` are the fields that those see who check the judge."""
    if bare is not None or not user:
        raise TypeError("say what is asked: `@prefmill.plugins.rubric(user=…, scale=(1, 5))`")
    template: dict[str, Any] = {
        "system": system,
        "user": user,
        "shows": shows,
        "aspects": dict(aspects) if isinstance(aspects, Mapping) else list(aspects),
        "tokens": tokens,
        "people": list(people),
    }
    if scale is not None:
        template["scale"] = {"min": scale[0], "max": scale[1], "integer": False}
    return _marked(None, "rubrics", name, "answer", {"template": template})


def _marked(
    function: object, group: str, name: str, takes: str, settings: Mapping[str, Any]
) -> Any:
    def mark(made: object) -> object:
        if not inspect.isfunction(made):
            raise TypeError(f"a plugin of a file is a function, not {made!r}")
        _check(made, group, takes)
        setattr(made, MARK, Mark(group, name or made.__name__, takes, settings))
        return made

    if function is not None and not callable(function):
        raise TypeError(f"give {function!r} by its name: `name=…`")
    return mark if function is None else mark(function)


def _check_kind(column: str, kind: Any) -> None:
    if kind in (str, int, float, bool):
        return
    inner: Any = list(kind.values()) if isinstance(kind, dict) else kind  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    one = not isinstance(kind, list) or len(cast("list[Any]", kind)) == 1
    if not isinstance(inner, list) or not inner or not one:
        raise TypeError(
            f"columns: {column!r} is {kind!r}; give `str`, `int`, `float`, `bool`, `[str]` for a "
            'list, or `{"role": str}` for a record'
        )
    for each in cast("list[Any]", inner):
        _check_kind(column, each)


def _check(function: Callable[..., Any], group: str, takes: str) -> None:
    """TypeError unless it takes one thing, and options by name that have defaults."""
    given = inspect.signature(function).parameters.values()
    first = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    options = [p for p in given if p.kind is p.KEYWORD_ONLY]
    name = function.__name__
    if len(first) != 1 or len(first) + len(options) != len(given):
        said = ", ".join(map(str, given))
        raise TypeError(
            f"{name}({said}): a function of the group {group} takes one thing, {name}({takes}), "
            f"and options by name: {name}({takes}, *, option=default)"
        )
    for option in options:
        if option.default is option.empty:
            raise TypeError(f"{name}: the option {option.name!r} needs a default")

"""Answers that come with the data: known ones, and those of models."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from pydantic_core import from_json

from prefmill.contracts.reasons import BAD_ROW, NOT_TEXT
from prefmill.contracts.rows import GivenResponse
from prefmill.coordinator.sources.plain import is_null
from prefmill.coordinator.sources.rowfault import RowFault
from prefmill.engines.text import clean

MODEL: Final = ("model", "model_name", "generator")
TEXT: Final = ("text", "response", "content", "generation", "completion", "output")


def answers_of(value: Any, column: str) -> tuple[str, ...]:
    """Known answers: a text, a number, or a list of them; null and empty ones are left out."""
    if is_null(value) or value == "":
        return ()
    if not isinstance(value, (list, tuple)):
        return (_answer(value, column),)
    known = cast("Sequence[Any]", value)
    return tuple(_answer(item, column) for item in known if not is_null(item) and item != "")


def _answer(value: Any, column: str) -> str:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise RowFault(BAD_ROW, f"{column} holds {type(value).__name__}; answers are texts")


def responses_of(value: Any, models: Any, column: str) -> tuple[GivenResponse, ...]:
    """Who answered what: `{model: text}`, a list of `{model, text}`, a list of texts with their
    models beside it, or one plain text, which is by `response`.

    A list of texts without models is by `response-1`, `response-2`, …; a model's second answer to
    the same prompt is by `MODEL#2`. A text that is null or blank is None.
    """
    if isinstance(value, str) and value.strip() and value.lstrip()[0] not in "[{":
        value = {"response": value}
    value = _parsed(value, column)
    if is_null(value):
        return ()
    if isinstance(value, Mapping):
        named = list(cast("Mapping[str, Any]", value).items())
    elif isinstance(value, (list, tuple)):
        named = _listed(list(cast("Sequence[Any]", value)), models, column)
    else:
        kind = type(value).__name__
        raise RowFault(BAD_ROW, f"{column} is {kind}, neither {{model: text}} nor a list")
    given: dict[str, GivenResponse] = {}
    for model, text in named:
        name = _unused(clean(str(model)), given)
        given[name] = GivenResponse(model=name, text=_text(text, f"{column} of {model}"))
    return tuple(given.values())


def says_more(value: Any) -> bool:
    """Whether a list of responses has fields besides model and text: then it stays metadata."""
    if not isinstance(value, (list, tuple)):
        return False
    records = cast("Sequence[Any]", value)
    return any(isinstance(r, Mapping) and len(cast("Mapping[str, Any]", r)) > 2 for r in records)


def _parsed(value: Any, column: str) -> Any:
    """JSON where a column can only hold text, as in CSV."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return from_json(value)
    except ValueError as error:
        raise RowFault(BAD_ROW, f"{column}: no valid JSON: {error}") from error


def _listed(items: list[Any], models: Any, column: str) -> list[tuple[Any, Any]]:
    names = _parsed(models, "models")
    if is_null(names):
        names = [f"response-{number}" for number in range(1, len(items) + 1)]
    if not isinstance(names, (list, tuple)) or len(cast("Sequence[Any]", names)) != len(items):
        raise RowFault(BAD_ROW, f"{column}: {len(items)} texts, but not as many models beside them")
    beside = cast("Sequence[Any]", names)
    return [_pair(item, name) for item, name in zip(items, beside, strict=True)]


def _pair(item: Any, name: Any) -> tuple[Any, Any]:
    if not isinstance(item, Mapping):
        return name, item
    fields = cast("Mapping[str, Any]", item)
    model = next((fields[key] for key in MODEL if fields.get(key)), name)
    text = next((fields[key] for key in TEXT if key in fields), None)
    return model, text


def _unused(name: str, given: Mapping[str, GivenResponse]) -> str:
    number, unused = 1, name
    while unused in given:
        number += 1
        unused = f"{name}#{number}"
    return unused


def _text(value: Any, where: str) -> str | None:
    if is_null(value):
        return None
    if not isinstance(value, str):
        raise RowFault(NOT_TEXT, f"{where} is {type(value).__name__}, not text")
    return clean(value) if value.strip() else None

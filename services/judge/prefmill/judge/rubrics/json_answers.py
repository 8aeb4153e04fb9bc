"""Answers as JSON: the schema that engines are handed, and the reader of what they return."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

from pydantic import JsonValue

from prefmill.judge.rubrics.stated import Stated


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its repeated keys, so that a label given twice is seen."""


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Pairs)
_LABEL: Final = re.compile(r"\W*(?:output\s+for\s+)?(?:text)?[\s_#\-]*(\d{1,4})\W*", re.IGNORECASE)


class Rated(Protocol):
    """What a rating is read against: its part of a schema."""

    @property
    def schema(self) -> dict[str, JsonValue]:
        """JSON Schema of one rating."""
        ...


PROSE: Final[JsonValue] = {"type": "string"}
KINDS: Final[Mapping[str, str]] = {
    **{kind: kind for kind in ("rating", "types", "rationale", "rationale_for_rating")},
    "type": "types",
    "score": "rating",
}
"""What a JSON key stands for, in lower case with `_` for spaces."""


@lru_cache(maxsize=256)
def schema_of(scale: Rated, types: int, texts: int) -> dict[str, JsonValue]:
    """JSON Schema of an answer: an object `text_1` … `text_N`, all required, so that no text can
    be left out."""
    rating: JsonValue = scale.schema
    fields: dict[str, JsonValue] = {"rating": rating, "rationale": PROSE}
    if types:
        numbers: list[JsonValue] = [str(n) for n in range(1, types + 1)]
        fields = {
            "types": {"type": "array", "items": {"type": "string", "enum": numbers}},
            "rationale": PROSE,
            "rating": rating,
            "rationale_for_rating": PROSE,
        }
    return object_schema({f"text_{n}": object_schema(fields) for n in range(1, texts + 1)})


def object_schema(fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """An object with exactly these fields."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def stated_as_json(
    body: str, texts: int, kinds: Mapping[str, str] = KINDS
) -> dict[int, list[Stated]] | None:
    """What the answer states by label; None if it is no JSON of that schema. One text may stand
    without its label. What follows the JSON is not looked at."""
    answer = _object_in(body)
    if answer is None:
        return None
    found: dict[int, list[Stated]] = {}
    for key, value in answer:
        if label := _LABEL.fullmatch(key):
            found.setdefault(int(label[1]), []).append(_stated(value, kinds))
    if not found and texts == 1 and any(kinds.get(_plain(key)) == "rating" for key, _ in answer):
        found = {1: [_stated(answer, kinds)]}
    return found or None


def fields_in_json(body: str) -> dict[str, list[object]] | None:
    """The values of each key of the object, keys in lower case with `_` for spaces; None if the
    answer is no JSON object."""
    answer = _object_in(body)
    if answer is None:
        return None
    found: dict[str, list[object]] = {}
    for key, value in answer:
        found.setdefault(_plain(key), []).append(value)
    return found


def _object_in(body: str) -> _Pairs | None:
    start = _start(body)
    if start is None:
        return None
    try:
        answer: object = _DECODER.raw_decode(body, start)[0]
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, _Pairs) else None


def _start(body: str) -> int | None:
    """Where the JSON begins: at once, or at the first line of a code fence marked as JSON."""
    fence = body.find("```json")
    start = 0 if fence < 0 else fence + len("```json")
    if fence < 0 and body[:200].lstrip().startswith("```"):
        start = body.find("\n") + 1
    while start < len(body) and body[start].isspace():
        start += 1
    return start if body.startswith("{", start) else None


def _plain(key: str) -> str:
    return key.casefold().strip().replace(" ", "_").replace("-", "_")


def _stated(value: object, kinds: Mapping[str, str]) -> Stated:
    if not isinstance(value, _Pairs):
        return Stated(ratings=[value])
    stated = Stated()
    for key, part in value:
        match kinds.get(_plain(key)):
            case "rating":
                stated.ratings.append(part)
            case "types":
                stated.types.append(part)
            case "rationale" if isinstance(part, str):
                stated.rationale = part
            case "rationale_for_rating" if isinstance(part, str):
                stated.rationale_for_rating = part
            case _:
                pass
    return stated

"""Answers as JSON: the schema that engines are handed, and the reader of what they return."""

import json
import re
from functools import lru_cache
from typing import Any, Final

from pydantic import JsonValue

from prefmill.judge.rubrics.scales import Scale
from prefmill.judge.rubrics.stated import Stated


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its repeated keys, so that a label given twice is seen."""


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Pairs)
_LABEL: Final = re.compile(r"\W*(?:output\s+for\s+)?(?:text)?[\s_#\-]*(\d{1,4})\W*", re.IGNORECASE)


@lru_cache(maxsize=256)
def schema_of(scale: Scale, types: int, texts: int) -> dict[str, JsonValue]:
    """JSON Schema of an answer: an object `text_1` … `text_N`, all required, so that no text can
    be left out. Ratings are an enumeration of strings, which every server can constrain."""
    ratings = [str(n) for n in range(round(scale.low), round(scale.high) + 1)]
    rating: JsonValue = {
        "type": "string",
        "enum": [*ratings, *(["N/A"] if scale.not_applicable else [])],
    }
    prose: JsonValue = {"type": "string"}
    fields: dict[str, JsonValue] = {"rating": rating, "rationale": prose}
    if types:
        numbers: list[JsonValue] = [str(n) for n in range(1, types + 1)]
        fields = {
            "types": {"type": "array", "items": {"type": "string", "enum": numbers}},
            "rationale": prose,
            "rating": rating,
            "rationale_for_rating": prose,
        }
    return _object({f"text_{n}": _object(fields) for n in range(1, texts + 1)})


def _object(fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def stated_as_json(body: str, texts: int) -> dict[int, list[Stated]] | None:
    """What the answer states by label; None if it is no JSON of that schema. One text may stand
    without its label. What follows the JSON is not looked at."""
    start = _start(body)
    if start is None:
        return None
    try:
        answer: object = _DECODER.raw_decode(body, start)[0]
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, _Pairs):
        return None
    found: dict[int, list[Stated]] = {}
    for key, value in answer:
        if label := _LABEL.fullmatch(key):
            found.setdefault(int(label[1]), []).append(_stated(value))
    if not found and texts == 1 and any(_kind(key) == "rating" for key, _ in answer):
        found = {1: [_stated(answer)]}
    return found or None


def _start(body: str) -> int | None:
    """Where the JSON begins: at once, or at the first line of a code fence marked as JSON."""
    fence = body.find("```json")
    start = 0 if fence < 0 else fence + len("```json")
    if fence < 0 and body[:200].lstrip().startswith("```"):
        start = body.find("\n") + 1
    while start < len(body) and body[start].isspace():
        start += 1
    return start if body.startswith("{", start) else None


def _kind(key: str) -> str:
    kind = key.casefold().strip().replace(" ", "_").replace("-", "_")
    return {"type": "types", "score": "rating"}.get(kind, kind)


def _stated(value: object) -> Stated:
    if not isinstance(value, _Pairs):
        return Stated(ratings=[value])
    stated = Stated()
    for key, part in value:
        match _kind(key):
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

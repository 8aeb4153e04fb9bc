"""What pydantic finds wrong, in the words of a person who writes YAML."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

_LIST: Final = "should be a list"
_MAPPING: Final = "should be a mapping"
_WHOLE: Final = "should be a whole number"
_NUMBER: Final = "should be a number"
_WORDS: Final[Mapping[str, str]] = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "set_type": _LIST,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "string_type": "should be a text",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
}
_UNION: Final = "of-several-types"
"""The type of an error that stands for several, of a value that is of none of some types."""
_KIND: Final = re.compile(r"(str|int|float|bool|dict|list|tuple)(\[.*\])?")
"""How pydantic names a member of a union, as if it were a place."""


def found_in(error: ValidationError) -> list[Any]:
    """The errors, as pydantic has them: one for a value that is of none of the types that may stand
    at its place, and none for what only follows from an error within it."""
    by_place: dict[tuple[Any, ...], list[Any]] = {}
    for found in error.errors(include_url=False):
        place = tuple(part for part in found["loc"] if not _KIND.fullmatch(str(part)))
        by_place.setdefault(place, []).append({**found, "loc": place})
    return [
        found
        for errors in by_place.values()
        for found in ([_either(errors)] if _are_types(errors) else errors)
        if not _follows(found, by_place)
    ]


def said_of(found: Any) -> str:
    """What is wrong: `should be a list; not 3`."""
    if found["type"] == "too_short":
        least = found["ctx"]["min_length"]
        return f"should have at least {least} item{'s' if least > 1 else ''}"
    said = _WORDS.get(found["type"]) or str(found["msg"]).removeprefix("Value error, ")
    said = said.replace("Input should be", "should be")
    return f"{said}{_but(found['input'])}" if said.startswith("should be") else said


def _are_types(errors: Sequence[Any]) -> bool:
    return len(errors) > 1 and all(found["type"] in _WORDS for found in errors)


def _either(errors: Sequence[Any]) -> Any:
    words = dict.fromkeys(_WORDS[found["type"]].removeprefix("should be ") for found in errors)
    return {**errors[0], "type": _UNION, "msg": f"should be {' or '.join(words)}"}


def _follows(found: Any, places: Iterable[tuple[Any, ...]]) -> bool:
    """A list is too short for pydantic where what is in it is wrong, and a value with something
    wrong in it is of one type that may stand there, if not of the others."""
    loc = found["loc"]
    within = (place[: len(loc)] == loc and place != loc for place in places)
    return found["type"] in ("too_short", _UNION, *_WORDS) and any(within)


def _but(given: Any) -> str:
    if given is None:
        return "; it is empty"
    if isinstance(given, (str, int, float, bool)) and len(str(given)) <= 60:
        return f"; not {given!r}"
    return f"; not a {'mapping' if isinstance(given, dict) else type(given).__name__}"

"""The answer as it was asked for, read without a search: one block per text, in order, each field
on a line of its own.

It reads what it is sure of, and nothing else: for every answer it returns what the reader of all
layouts returns, or None. Most answers of most judges are like this.
"""

import re
from typing import Final

from prefmill.contracts.results import Reading
from prefmill.judge.rubrics.scales import Scale, read_rating, read_types
from prefmill.judge.rubrics.stated import storable

_PROSE: Final = r"([^\W_][^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]*)"
"""A line that starts with a letter or a figure. The breaks are those of `str.splitlines`."""
_LABEL: Final = r"#### Output for Text ([1-9]\d?)\n"
_RATED: Final = rf"Rating: ([1-9]|N/A)\nRationale: {_PROSE}(?:\n+|\Z)"
_BLOCK: Final = re.compile(_LABEL + _RATED)
_TYPED_BLOCK: Final = re.compile(
    rf"{_LABEL}Type: (None|[1-9](?:, [1-9])*)\nRationale: {_PROSE}\n{_RATED}"
)
_MARKS: Final = " \t*_"


def read_plain(
    body: str, texts: int, scale: Scale, types: tuple[str, ...]
) -> tuple[Reading, ...] | None:
    """The readings of a plain answer; None if it is not plain."""
    if not body.startswith("#### Output for Text 1\n") or "```json" in body:
        return None
    readings: list[Reading] = []
    block, position = _TYPED_BLOCK if types else _BLOCK, 0
    for number in range(1, texts + 1):
        found = block.match(body, position)
        if found is None or found[1] != str(number):
            return None
        readings.append(_typed(found, scale, types) if types else _rated(found, scale))
        position = found.end()
    return tuple(readings) if position == len(body) else None


def _rated(found: re.Match[str], scale: Scale) -> Reading:
    _, value, rationale = found.groups()
    outcome = read_rating(value, scale)
    return Reading(rating=outcome.rating, status=outcome.status, rationale=_prose(rationale))


def _typed(found: re.Match[str], scale: Scale, types: tuple[str, ...]) -> Reading:
    _, listed, rationale, value, rationale_for_rating = found.groups()
    outcome = read_rating(value, scale)
    return Reading(
        rating=outcome.rating,
        status=outcome.status,
        rationale=_prose(rationale),
        types=read_types(listed, types),
        rationale_for_rating=_prose(rationale_for_rating),
    )


def _prose(line: str) -> str:
    return storable(line.strip(_MARKS).strip())

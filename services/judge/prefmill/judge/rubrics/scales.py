"""Scales, and what a judge wrote after `Rating:` or `Type:` read against them."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from pydantic import JsonValue

from prefmill.contracts.reasons import (
    AMBIGUOUS,
    NOT_A_RATING,
    NOT_APPLICABLE,
    OUT_OF_RANGE,
    RATED,
)

_MOST_NAMED: Final = 20
"""Ratings up to so many are named one by one in a schema."""

VALUE_CHARS: Final = 200
"""As much of a line as is looked at for a rating or for types."""


@dataclass(frozen=True, eq=False)
class Scale:
    """Ratings from `low` to `high`, both included; fractions between them are kept.

    `names` are what the ratings are called: (name, rating), several names per rating allowed;
    `whole` scales have no fractions. Scales are compared by identity, so that looking one up in a
    cache is cheap.
    """

    low: float
    high: float
    names: tuple[tuple[str, float], ...] = ()
    not_applicable: bool = False
    whole: bool = False

    @cached_property
    def longest_first(self) -> tuple[tuple[str, float], ...]:
        """The names in lower case, so that `correct` is not taken for `correct and confident`."""
        folded = [(name.casefold(), rating) for name, rating in self.names]
        return tuple(sorted(folded, key=lambda pair: -len(pair[0])))

    def place(self, rating: float) -> "Outcome":
        """A number as a rating of this scale: out of range is no rating, and is not clipped."""
        if self.low <= rating <= self.high:
            return UNREADABLE if self.whole and rating % 1 else Outcome(rating, RATED)
        return Outcome(None, OUT_OF_RANGE if rating == rating else NOT_A_RATING)

    def absent(self) -> "Outcome":
        """What `N/A` means on this scale."""
        return Outcome(None, NOT_APPLICABLE if self.not_applicable else NOT_A_RATING)

    def read(self, value: object) -> "Outcome":
        """What stands where a rating belongs: text, or what JSON holds."""
        match value:
            case str():
                return read_rating(value, self)
            case None:
                return self.absent()
            case bool():
                return UNREADABLE
            case int() | float():
                return self.place(_float(value))
            case _:
                return UNREADABLE

    @property
    def schema(self) -> dict[str, JsonValue]:
        """JSON Schema of one rating: an enumeration of strings, which every server can constrain;
        a number where there are too many of them."""
        low, high = round(self.low), round(self.high)
        if high - low > _MOST_NAMED or (low, high) != (self.low, self.high):
            number: JsonValue = {"type": "integer" if self.whole else "number"}
            absent: JsonValue = {"type": "string", "enum": ["N/A"]}
            return {"anyOf": [number, absent]} if self.not_applicable else number
        ratings: list[JsonValue] = [str(n) for n in range(low, high + 1)]
        return {"type": "string", "enum": [*ratings, *(["N/A"] if self.not_applicable else [])]}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rating with status `rated`, or None with the reason why there is none."""

    rating: float | None
    status: str


UNREADABLE: Final = Outcome(None, NOT_A_RATING)
_TWO: Final = Outcome(None, AMBIGUOUS)
_WORD: Final = "zero|one|two|three|four|five|six|seven|eight|nine|ten"
_WORDS: Final[list[str]] = list(_WORD.split("|"))

_LEFT: Final = " \t\r\n*_\"'“”‘’`´«»[](){}<>"
_RIGHT: Final = _LEFT + ".,;:!"
_BULLET: Final = re.compile(r"\s*[-–—•=:]\s+")
_HEAD: Final = re.compile(
    r"(?P<sign>[-+−–]?)(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<absent>n\s?/\s?a|n\.\s?a|na|not[\s-]applicable|none|null|nil)(?!\w)"
    rf"|(?P<word>{_WORD})(?!\w)",
    re.IGNORECASE,
)
_OVER: Final = re.compile(
    rf"[*_]*\s*\(?\s*(?:stars?|points?)?\s*(?:/|out\s+of|of)\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<word>{_WORD}))(?!\w)",
    re.IGNORECASE,
)
_SECOND: Final = re.compile(
    rf"(?:\s*(?:[-–—~,;&|/=>→…]{{1,3}}|\.\.+|to|or|and)\s*|\s+)(?:[-+]?(?P<number>\d+)|(?:{_WORD})\b)",
    re.IGNORECASE,
)
_TAIL: Final = re.compile(
    r"$|(?!\.\d)\s*[^\w\s%+^]|\s+(?:because|since|as|due|given|for|with|stars?|points?|rationale|reason)\b",
    re.IGNORECASE,
)
_ECHO: Final = re.compile(r"\W*(\d+(?:\.\d+)?)(?![\w%])")


@lru_cache(maxsize=4096)
def read_rating(value: str, scale: Scale) -> Outcome:
    """What stands after `Rating:`: a number, a number word, a name of the scale, or `N/A`.

    `4/5`, `4 - Good`, `4 because …`, `Five`, `Good (4)` are ratings; two different numbers are
    `ambiguous`; another denominator, a percentage or prose is `not-a-rating`.
    """
    value = value[:VALUE_CHARS]
    bullet = _BULLET.match(value)
    value = value[bullet.end() if bullet else 0 :].lstrip(_LEFT).rstrip(_RIGHT)
    head = _HEAD.match(value)
    if head is None:
        return _named(value, scale)
    if head["absent"]:
        return scale.absent() if _TAIL.match(value, head.end()) else UNREADABLE
    return _numbered(value, head, scale)


def _numbered(value: str, head: re.Match[str], scale: Scale) -> Outcome:
    end = head.end()
    if over := _OVER.match(value, end):
        if _number(over) != scale.high:
            return UNREADABLE
        end = over.end()
    elif second := _SECOND.match(value, end):
        # `1 to 5` is the scale itself, from a layout that was repeated, not two ratings.
        whole = (_number(head), second["number"]) == (scale.low, f"{scale.high:g}")
        return UNREADABLE if whole else _TWO
    rating = _number(head)
    rest = value[end:].strip().casefold()
    if not _TAIL.match(value, end) and (
        head["word"] or not _starts_with_name(rest, scale) or not value[end].isspace()
    ):
        return UNREADABLE
    return scale.place(-rating if head["sign"] in ("-", "−", "–") else rating)


def _float(number: float) -> float:
    """JSON can hold integers that no float can."""
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def _number(match: re.Match[str]) -> float:
    number = match["number"]
    return float(number) if number else float(_WORDS.index(match["word"].lower()))


def _starts_with_name(rest: str, scale: Scale) -> bool:
    return any(rest.startswith(name) for name, _ in scale.longest_first)


def _named(value: str, scale: Scale) -> Outcome:
    folded = " ".join(value.casefold().split())
    for name, rating in scale.longest_first:
        if folded.startswith(name) and _TAIL.match(folded, len(name)):
            echo = _ECHO.match(folded, len(name))
            if echo and float(echo[1]) != rating:
                return _TWO
            return scale.place(rating)
    return UNREADABLE


def settle(outcomes: list[Outcome]) -> Outcome:
    """One outcome of several for the same text: equal ones agree, different ones are ambiguous.

    What is no rating at all (a layout that the judge repeats before it fills it in) yields to what
    is one. The list is not empty.
    """
    if len(outcomes) == 1:
        return outcomes[0]
    distinct = set(outcomes)
    if len(distinct) > 1:
        distinct.discard(UNREADABLE)
    return distinct.pop() if len(distinct) == 1 else _TWO


_NO_TYPE: Final = re.compile(
    r"no\s+[a-z]|(?:none|n\s?/\s?a|n\.\s?a|na|nil|null|no)(?:\s*[^\w\s]|\s+(?:of|apply|found)\b|$)",
    re.IGNORECASE,
)
_PIECES: Final = re.compile(r"[,;/&+\n]|\band\b|\bor\b", re.IGNORECASE)
_NUMBERS: Final = re.compile(
    r"(?:[-–]\s|[^\w\-–−])*+(?:types?\W{0,3})?(\d+(?:\s+\d+)*)(?!\w)(?!\.\d)(?!\s*[-–—]\s*\d)",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def read_types(value: str, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """What stands after `Type:`: the numbers of the types that apply, 1 for the first name.

    `1, 3` is ("1", "3"); `None` is (); what names an unknown type, or none at all, is None.
    """
    value = value[:VALUE_CHARS].strip()
    bare = value.lstrip(_LEFT).rstrip(_RIGHT)
    if value and (not bare or _NO_TYPE.match(bare)):
        return ()
    pieces = _PIECES.split(bare)
    found = [n for piece in pieces if (m := _NUMBERS.match(piece)) for n in m[1].split()]
    if not found:
        known = {name.casefold(): str(n) for n, name in enumerate(names, 1)}
        said = re.split("[,;\n]", bare.casefold())
        found = [known.get(name.strip(_RIGHT), "") for name in said]
    allowed = {str(n) for n in range(1, len(names) + 1)}
    return tuple(sorted(set(found))) if set(found) <= allowed else None

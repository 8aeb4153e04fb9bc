"""The choice between two texts, A and B: what was said of them, as ratings of both."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydantic import JsonValue

from prefmill.contracts.reasons import RATED
from prefmill.contracts.results import Reading
from prefmill.judge.rubrics.reading import Layout
from prefmill.judge.rubrics.scales import UNREADABLE, VALUE_CHARS, Outcome

_DRESS: Final = " \t\r\n*_\"'“”‘’`´#-–•[](){}<>:："
_NOUN: Final = r"(?:text|response|answer|output|completion|option|choice|assistant)"
_HEAD: Final = re.compile(
    rf"(?:(?:it(?:\s+is|'s)\s+)?an?\s+)?(?P<tie>tied?|draw|equal)(?![\w-])"
    rf"|(?:the\s+)?(?:{_NOUN}\W{{1,4}})?(?P<one>[ab])(?!\w)",
    re.IGNORECASE,
)
_ANOTHER: Final = re.compile(
    rf"[\s,;/|&\]\)*]*(?:\b(?:or|and|vs)\b)?[\s\[(*]*(?:{_NOUN}\s+)?(?:[AB]|tie)(?!\w)"
)
_TAIL: Final = re.compile(
    r"\s*$|\s*[^\w\s/&|]|\s+(?:is|was|wins?|because|since|as|for|over|by|being|rationale|reason)\b",
    re.IGNORECASE,
)
_FIRST: Final = {"a": 1.0, "b": 0.0}


@dataclass(frozen=True, eq=False)
class Choice:
    """A, B or, where allowed, a tie, as the rating of A: 1, 0, 0.5. That of B is 1 minus it."""

    ties: bool = True

    @property
    def schema(self) -> dict[str, JsonValue]:
        """JSON Schema of the choice."""
        return {"type": "string", "enum": ["A", "B", "tie"] if self.ties else ["A", "B"]}

    def read(self, value: object) -> Outcome:
        """`A`, `[[B]]`, `Text A`, `B because …`, `a tie`; `A or B` and prose are no choice."""
        return _read(value[:VALUE_CHARS], self.ties) if isinstance(value, str) else UNREADABLE


@lru_cache(maxsize=1024)
def _read(value: str, ties: bool) -> Outcome:
    value = value.lstrip(_DRESS)
    head = _HEAD.match(value)
    if head is None or _ANOTHER.match(value, head.end()) or not _TAIL.match(value, head.end()):
        return UNREADABLE
    if head["tie"]:
        return Outcome(0.5, RATED) if ties else UNREADABLE
    return Outcome(_FIRST[head["one"].lower()], RATED)


@dataclass(frozen=True, eq=False)
class PairLayout(Layout):
    """An answer that chooses between two texts: read once, told of both."""

    def read(self, answer: str, texts: int) -> tuple[Reading, ...]:
        """1 for the better text, 0 for the other, 0.5 each for a tie; both or none are rated."""
        first = super().read(answer, 1)[0]
        rating = first.rating
        second = first if rating is None else first.replace(rating=1 - rating)
        return (first, second) if texts == 2 else (first.replace(**_NONE),) * texts


_NONE: Final = {"rating": None, "status": UNREADABLE.status}

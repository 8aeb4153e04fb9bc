"""Reads what a judge answered: one reading per text, by label and never by position."""

from dataclasses import dataclass
from typing import Final, cast

from prefmill.contracts.reasons import MISSING_BLOCK, MISSING_RATING
from prefmill.contracts.results import Reading
from prefmill.judge.rubrics.blocks import cut, without_thoughts
from prefmill.judge.rubrics.grammar import Grammar
from prefmill.judge.rubrics.json_answers import stated_as_json
from prefmill.judge.rubrics.plain import read_plain
from prefmill.judge.rubrics.scales import (
    UNREADABLE,
    Outcome,
    Scale,
    read_rating,
    read_types,
    settle,
)
from prefmill.judge.rubrics.stated import Stated, stated_in, storable

MAX_CHARS: Final = 100_000
"""As much of an answer as is read, thoughts aside: about 25,000 tokens. A model that ran away
must not hold up the others."""
_NO_RATING: Final = Outcome(None, MISSING_RATING)


@dataclass(frozen=True, eq=False)
class Layout:
    """How an answer is laid out: its scale, its fields, and the names of its types, if any."""

    scale: Scale
    grammar: Grammar
    types: tuple[str, ...] = ()

    def read(self, answer: str, texts: int) -> tuple[Reading, ...]:
        """Exactly `texts` readings, whatever the answer is; JSON first, then text. Never raises."""
        body = without_thoughts(answer)[:MAX_CHARS]
        return read_plain(body, texts, self.scale, self.types) or self.searched(body, texts)

    def searched(self, body: str, texts: int) -> tuple[Reading, ...]:
        """The readings of an answer in any layout."""
        stated = stated_as_json(body, texts) or self._as_text(body, texts)
        return tuple(self._reading(stated.get(n, [])) for n in range(1, texts + 1))

    def _as_text(self, body: str, texts: int) -> dict[int, list[Stated]]:
        stated: dict[int, list[Stated]] = {}
        for block in cut(body, self.grammar, texts):
            if 1 <= block.label <= texts and block.passages:
                stated.setdefault(block.label, []).append(stated_in(block, bool(self.types)))
        return stated

    def _reading(self, blocks: list[Stated]) -> Reading:
        """One text's reading from all blocks that bear its label; of several rationales the last,
        as a judge that repeats itself ends with what it means."""
        if not blocks:
            return Reading(status=MISSING_BLOCK)
        ratings = [self._rating(value) for block in blocks for value in block.ratings]
        outcome = settle(ratings) if ratings else _NO_RATING
        rationale = _last([block.rationale for block in blocks])
        if not self.types:
            return Reading(rating=outcome.rating, status=outcome.status, rationale=rationale)
        return Reading(
            rating=outcome.rating,
            status=outcome.status,
            rationale=rationale,
            types=self._types([value for block in blocks for value in block.types]),
            rationale_for_rating=_last([block.rationale_for_rating for block in blocks]),
        )

    def _rating(self, value: object) -> Outcome:
        match value:
            case str():
                return read_rating(value, self.scale)
            case None:
                return self.scale.absent()
            case bool():
                return UNREADABLE
            case int() | float():
                return self.scale.place(float(value))
            case _:
                return UNREADABLE

    def _types(self, values: list[object]) -> tuple[str, ...] | None:
        """The types of all blocks if they agree; None if they do not, or none are stated."""
        found = {read_types(_line_of(value), self.types) for value in values}
        return found.pop() if len(found) == 1 else None


def _line_of(value: object) -> str:
    """Types as JSON holds them, on one line: `[1, 3]` as `1, 3`, nothing as `None`."""
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value))) or "None"
    return str(value)


def _last(rationales: list[str]) -> str | None:
    for rationale in reversed(rationales):
        if rationale := rationale.strip():
            return storable(rationale)
    return None

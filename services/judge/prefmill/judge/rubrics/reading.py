"""Reads what a judge answered: one reading per text, by label and never by position."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol, cast

from pydantic import JsonValue

from prefmill.contracts.reasons import MISSING_BLOCK, MISSING_RATING
from prefmill.contracts.results import Reading
from prefmill.judge.rubrics.blocks import cut, without_thoughts
from prefmill.judge.rubrics.grammar import Grammar
from prefmill.judge.rubrics.json_answers import (
    KINDS,
    PROSE,
    object_schema,
    schema_of,
    stated_as_json,
)
from prefmill.judge.rubrics.plain import read_plain
from prefmill.judge.rubrics.scales import Outcome, Scale, read_types, settle
from prefmill.judge.rubrics.stated import Stated, stated_in, storable

MAX_CHARS: Final = 100_000
"""As much of an answer as is read, thoughts aside: about 25,000 tokens. A model that ran away
must not hold up the others."""
_NO_RATING: Final = Outcome(None, MISSING_RATING)


Extract = Callable[[str, int], dict[int, list[Stated]]]
"""Finds what an answer that is no JSON states, by the label of the text: (body, texts shown)."""


class Rates(Protocol):
    """What values are read against: a scale, or the choice between two texts."""

    @property
    def schema(self) -> dict[str, JsonValue]:
        """JSON Schema of one value."""
        ...

    def read(self, value: object) -> Outcome:
        """The rating that a value stands for."""
        ...


class Reader(Protocol):
    """Reads answers about one aspect, and says what shape is wanted where an engine can hold a
    judge to it."""

    def read(self, answer: str, texts: int) -> tuple[Reading, ...]:
        """Exactly `texts` readings, whatever the answer is. Never raises."""
        ...

    def schema(self, texts: int) -> dict[str, JsonValue]:
        """JSON Schema of an answer about so many texts."""
        ...


@dataclass(frozen=True, eq=False)
class Blocks:
    """Answers with one labelled block per text, of the grammar's fields."""

    grammar: Grammar
    typed: bool = False

    def __call__(self, body: str, texts: int) -> dict[int, list[Stated]]:
        """What each block states."""
        stated: dict[int, list[Stated]] = {}
        for block in cut(body, self.grammar, texts):
            if 1 <= block.label <= texts and block.passages:
                stated.setdefault(block.label, []).append(stated_in(block, self.typed))
        return stated


@dataclass(frozen=True, eq=False)
class Layout:
    """How an answer is laid out: its scale, how its text is taken apart, and the names of its
    types, if any. `alone` are the JSON names of rationale and rating where one object with these
    two is the whole answer; () where there is an object per text."""

    scale: Rates
    extract: Extract
    types: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()

    def read(self, answer: str, texts: int) -> tuple[Reading, ...]:
        """Exactly `texts` readings, whatever the answer is; JSON first, then text. Never raises."""
        body = said_in(answer)
        return self._plain(body, texts) or self.searched(body, texts)

    def searched(self, body: str, texts: int) -> tuple[Reading, ...]:
        """The readings of an answer in any layout."""
        stated = stated_as_json(body, texts, self._kinds) or self.extract(body, texts)
        return tuple(self._reading(stated.get(n, [])) for n in range(1, texts + 1))

    def _plain(self, body: str, texts: int) -> tuple[Reading, ...] | None:
        if isinstance(self.extract, Blocks) and isinstance(self.scale, Scale):
            return read_plain(body, texts, self.scale, self.types)
        return None

    def schema(self, texts: int) -> dict[str, JsonValue]:
        """JSON Schema of an answer about so many texts."""
        if self.alone:
            rationale, rating = self.alone
            return object_schema({rationale: PROSE, rating: self.scale.schema})
        return schema_of(self.scale, len(self.types), texts)

    @cached_property
    def _kinds(self) -> Mapping[str, str]:
        return {**KINDS, **dict(zip(self.alone, ("rationale", "rating"), strict=False))}

    def _reading(self, blocks: list[Stated]) -> Reading:
        """One text's reading from all blocks that bear its label; of several rationales the last,
        as a judge that repeats itself ends with what it means."""
        if not blocks:
            return Reading(status=MISSING_BLOCK)
        ratings = [self.scale.read(value) for block in blocks for value in block.ratings]
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

    def _types(self, values: list[object]) -> tuple[str, ...] | None:
        """The types of all blocks if they agree; None if they do not, or none are stated."""
        found = {read_types(_line_of(value), self.types) for value in values}
        return found.pop() if len(found) == 1 else None


def said_in(answer: str) -> str:
    """What is read of an answer: thoughts aside, and no more than `MAX_CHARS`."""
    return without_thoughts(answer)[:MAX_CHARS]


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

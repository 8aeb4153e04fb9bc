"""`rubric: {brevity: 20}`: the fewer words, the better."""

import re
from typing import ClassVar

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Message
from prefmill.contracts.results import Reading
from prefmill.contracts.work import JudgeRow
from prefmill.plugins.annotation import (
    GENERATIONS,
    INSTRUCTION,
    Annotation,
    RatingField,
    ShownField,
)
from prefmill.plugins.digest import digest_of
from prefmill.plugins.rubric import Question


class BrevityOptions(Strict):
    """What it understands."""

    most: int = Field(default=100, alias="brevity", description="Words that give no point.")


class Brevity:
    """Has each text counted, and makes a rating of the count."""

    Options: ClassVar[type[Strict]] = BrevityOptions
    shows = "each"
    aspects = ("brevity",)
    tokens_per_text = 5

    def __init__(self, options: Strict) -> None:
        assert isinstance(options, BrevityOptions)
        self._most = options.most

    def fingerprint(self) -> str:
        """Another limit gives other ratings, so it belongs to what is asked."""
        return digest_of("brevity", 1, self._most).hex()

    def annotation(self, aspect: str) -> Annotation:
        """Those who check the judge see the rule as well, and give one of the ten best ratings."""
        rule = ShownField(name="rule", text=f"{self._most} words or more give no point.")
        rating = RatingField(name=aspect, low=self._most - 9, high=self._most)
        return Annotation(fields=(INSTRUCTION, rule, GENERATIONS), ratings=(rating,))

    def ask(self, row: JudgeRow, aspect: str, order: tuple[int, ...]) -> Question:
        """One text, as `shows` says."""
        text = row.generations[order[0]]
        return Question((Message(role="user", content=f"How many words?\n{text}"),))

    def read(self, aspect: str, answer: str, texts: int) -> tuple[Reading, ...]:
        """Never raises: what cannot be read is a reading that says so."""
        found = re.search(r"Words: (\d+)", answer)
        if found is None:
            return (Reading(status="missing-rating"),)
        return (Reading(status="rated", rating=float(self._most - int(found[1]))),)

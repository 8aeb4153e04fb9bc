"""Answers that rate one text on several attributes at once."""

from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from prefmill.contracts.reasons import MISSING_BLOCK, MISSING_RATING, RATED
from prefmill.contracts.results import Reading
from prefmill.judge.rubrics.json_answers import fields_in_json, object_schema
from prefmill.judge.rubrics.reading import said_in
from prefmill.judge.rubrics.scales import Outcome, Scale, settle
from prefmill.judge.rubrics.tagged import Tags


@dataclass(frozen=True, eq=False)
class Attributes:
    """One tag per attribute. The reading's rating is that of the attribute `rating`, or the mean
    of all for `mean`; without every attribute there is none, so that all ratings are alike."""

    scale: Scale
    names: tuple[str, ...]
    rating: str = "mean"

    def read(self, answer: str, texts: int) -> tuple[Reading, ...]:
        """The reading of the one text; `attributes` holds what could be read. Never raises."""
        if texts < 1:
            return ()
        body = said_in(answer)
        found = {name: self._outcome(values) for name, values in self._values(body).items()}
        return (self._reading(found), *(Reading(status=MISSING_BLOCK),) * (texts - 1))

    def schema(self, texts: int) -> dict[str, JsonValue]:
        """An object with a rating per attribute."""
        del texts
        return object_schema(dict.fromkeys(self.names, self.scale.schema))

    def _values(self, body: str) -> dict[str, list[object]]:
        fields = fields_in_json(body) or {}
        if any(name in fields for name in self.names):
            return {name: fields[name] for name in self.names if name in fields}
        return {name: list(values) for name, values in self._tags.values(body).items()}

    def _outcome(self, values: list[object]) -> Outcome:
        return settle([self.scale.read(value) for value in values])

    def _reading(self, found: dict[str, Outcome]) -> Reading:
        if not found:
            return Reading(status=MISSING_RATING)
        rated = {n: r for n in self.names if n in found and (r := found[n].rating) is not None}
        if len(rated) == len(self.names):
            mean = sum(rated.values()) / len(rated)
            rating = mean if self.rating == "mean" else rated[self.rating]
            return Reading(rating=rating, status=RATED, attributes=rated)
        bad = [found[n].status if n in found else MISSING_RATING for n in self.names]
        status = next(status for status in bad if status != RATED)
        return Reading(status=status, attributes=rated)

    @cached_property
    def _tags(self) -> Tags:
        return Tags(self.names)

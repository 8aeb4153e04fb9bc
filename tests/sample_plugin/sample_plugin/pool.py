"""`pool: {judges: strictest}`: the lowest rating counts."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from prefmill.contracts.base import Strict


class StrictestOptions(Strict):
    """None."""


class Strictest:
    """The minimum over those who gave a rating."""

    Options: ClassVar[type[Strict]] = StrictestOptions

    def __init__(self, options: Strict, raters: Sequence[str] = ()) -> None:
        self.options, self.raters = options, raters

    def fit(self, rows: Iterable[Any]) -> None:
        """Nothing to learn."""

    def score(self, ratings: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
        """One for each generation."""
        columns = (
            [each for each in column if each is not None] for column in zip(*ratings, strict=True)
        )
        return tuple(min(column, default=None) for column in columns)

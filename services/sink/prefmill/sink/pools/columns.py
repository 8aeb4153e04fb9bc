"""What pools share that look at one generation at a time."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from prefmill.contracts.base import Strict

Matrix = Sequence[Sequence[float | None]]
"""Raters × generations."""


class NoOptions(Strict):
    """A pool without options."""


class ColumnPool:
    """A pool that learns nothing and scores each generation from its own ratings alone."""

    Options: ClassVar[type[Strict]] = NoOptions

    def __init__(self, options: Strict, raters: Sequence[str] = ()) -> None:
        self.options = options
        self.raters = tuple(raters)

    def fit(self, rows: Iterable[Matrix]) -> None:
        """Nothing to learn: `rows` is left unread."""


def by_column(
    ratings: Matrix, pool: Callable[[Sequence[float]], float]
) -> tuple[float | None, ...]:
    """`pool` of the ratings that each generation got; a single rater's ratings as they are.
    ValueError if raters differ in length."""
    if len(ratings) == 1:
        return tuple(ratings[0])
    return tuple(
        pool(given) if (given := [rating for rating in column if rating is not None]) else None
        for column in zip(*ratings, strict=True)
    )

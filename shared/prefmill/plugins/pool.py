"""Pools: several ratings become one score."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol

from prefmill.contracts.base import Strict


class Pool(Protocol):
    """`fit` sees all rows once (most pools ignore it); `score` pools one row's ratings.

    Ratings come as a matrix: raters × generations, None where a rater gave none.
    """

    Options: ClassVar[type[Strict]]

    def __init__(self, options: Strict) -> None: ...

    def fit(self, rows: Iterable[Sequence[Sequence[float | None]]]) -> None:
        """Learn from all rows, streamed."""
        ...

    def score(self, ratings: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
        """One score per generation; None where no rater gave any."""
        ...

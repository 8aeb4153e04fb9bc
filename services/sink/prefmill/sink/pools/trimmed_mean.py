"""The trimmed mean: the extreme ratings are cut off on both sides."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.sink.pools.columns import ColumnPool, Matrix, by_column
from prefmill.sink.pools.mean import mean


class TrimmedMeanOptions(Strict):
    """`trimmed-mean`, or `{trimmed-mean: 0.2}`."""

    share: float = Field(
        default=0.25,
        ge=0,
        lt=0.5,
        alias="trimmed-mean",
        description="Share of the ratings cut off at each end, rounded down to whole ratings.",
    )


class TrimmedMeanPool(ColumnPool):
    """The mean of what is left when the lowest and the highest ratings are gone."""

    Options: ClassVar = TrimmedMeanOptions

    def __init__(self, options: TrimmedMeanOptions, raters: Sequence[str] = ()) -> None:
        super().__init__(options, raters)
        self.share = options.share

    def score(self, ratings: Matrix) -> tuple[float | None, ...]:
        """One trimmed mean per generation."""
        return by_column(ratings, self._trimmed)

    def _trimmed(self, ratings: Sequence[float]) -> float:
        cut = int(self.share * len(ratings))
        return mean(sorted(ratings)[cut : len(ratings) - cut])

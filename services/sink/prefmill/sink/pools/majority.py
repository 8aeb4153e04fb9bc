"""The majority: what a panel does with classes (Verga et al. 2024, section 3)."""

import statistics
from collections.abc import Sequence

from prefmill.sink.pools.columns import ColumnPool, Matrix, by_column


class MajorityPool(ColumnPool):
    """The most frequent rating; of several equally frequent ones, the lower one in the middle.

    So 5 of (5, 5, 1), 3 of (5, 3, 1), 1 of (5, 1): always a rating that somebody gave.
    """

    def score(self, ratings: Matrix) -> tuple[float | None, ...]:
        """One rating per generation."""
        return by_column(ratings, majority)


def majority(ratings: Sequence[float]) -> float:
    """The lower median of the most frequent ratings."""
    return statistics.median_low(statistics.multimode(ratings))

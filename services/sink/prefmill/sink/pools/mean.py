"""The mean: what a panel does with scores on a scale (Verga et al. 2024, section 3)."""

import math
from collections.abc import Sequence

from prefmill.sink.pools.columns import ColumnPool, Matrix, by_column


class MeanPool(ColumnPool):
    """The arithmetic mean of the ratings given."""

    def score(self, ratings: Matrix) -> tuple[float | None, ...]:
        """One mean per generation."""
        return by_column(ratings, mean)


def mean(ratings: Sequence[float]) -> float:
    """Exactly rounded, so that the order of the raters can never make or break a tie."""
    return math.fsum(ratings) / len(ratings)

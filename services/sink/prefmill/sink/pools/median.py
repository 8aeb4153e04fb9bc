"""The median: one wild judge among three changes nothing."""

import statistics

from prefmill.sink.pools.columns import ColumnPool, Matrix, by_column


class MedianPool(ColumnPool):
    """The middle rating; of an even number, the mean of the two in the middle."""

    def score(self, ratings: Matrix) -> tuple[float | None, ...]:
        """One median per generation."""
        return by_column(ratings, statistics.median)

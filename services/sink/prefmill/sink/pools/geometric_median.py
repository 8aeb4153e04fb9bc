"""The geometric median: the point nearest to all raters, each taken as a whole.

A rater is a point whose coordinates are its ratings of the row's generations. The sum of distances
is least at the geometric median, which a minority of raters, however wild, cannot carry off
(arXiv 2606.30931); it is found by Weiszfeld's iteration (Weiszfeld 1937).
"""

import math
from collections.abc import Sequence
from typing import Final

from prefmill.sink.pools.columns import ColumnPool, Matrix, by_column
from prefmill.sink.pools.mean import mean

STEPS: Final = 500
NEAR: Final = 1e-9
"""Distances below it count as it, so that a rater in the middle does not divide by zero."""
STILL: Final = 1e-10
"""A step this small is the last."""
DIGITS: Final = 6
"""What the iteration is good for."""


class GeometricMedianPool(ColumnPool):
    """Ratings a rater did not give are left out of its distance, which is then the root mean square
    over those it gave."""

    def score(self, ratings: Matrix) -> tuple[float | None, ...]:
        """One coordinate per generation, to six decimal places."""
        point = by_column(ratings, mean)
        points = [rater for rater in ratings if any(rating is not None for rating in rater)]
        if len(points) < 2:
            return point
        for _ in range(STEPS):
            before, point = point, _step(points, point)
            if _moved(before, point) < STILL:
                break
        return tuple(None if value is None else round(value, DIGITS) for value in point)


def _step(points: Matrix, point: Sequence[float | None]) -> tuple[float | None, ...]:
    weights = [1 / max(_distance(rater, point), NEAR) for rater in points]
    return tuple(_weighted(weights, column) for column in zip(*points, strict=True))


def _weighted(weights: Sequence[float], column: Sequence[float | None]) -> float | None:
    given = [(w, rating) for w, rating in zip(weights, column, strict=True) if rating is not None]
    if not given:
        return None
    return math.fsum(w * rating for w, rating in given) / math.fsum(w for w, _ in given)


def _distance(rater: Sequence[float | None], point: Sequence[float | None]) -> float:
    apart = [
        (rating - at) ** 2
        for rating, at in zip(rater, point, strict=True)
        if rating is not None and at is not None
    ]
    return math.sqrt(math.fsum(apart) / len(apart))


def _moved(before: Sequence[float | None], after: Sequence[float | None]) -> float:
    pairs = zip(before, after, strict=True)
    return max((abs(a - b) for a, b in pairs if a is not None and b is not None), default=0.0)

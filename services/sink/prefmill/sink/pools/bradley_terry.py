"""Bradley-Terry: strengths from comparisons (Bradley & Terry 1952), by minorization-maximization
(Hunter 2004, section 2)."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import ClassVar, Final

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.sink.pools.columns import ColumnPool, Matrix

STEPS: Final = 2000
STILL: Final = 1e-12
DIGITS: Final = 6
FLOOR: Final = 1e-12
"""A text that never won, without a prior: as weak as can be told."""

Wins = list[list[float]]
"""`wins[i][j]`: how often i was preferred to j."""


class BradleyTerryOptions(Strict):
    """`bradley-terry`, or `{bradley-terry: 0.5}`."""

    prior: float = Field(
        default=0.1,
        ge=0,
        alias="bradley-terry",
        description="Comparisons that every two texts are taken to have tied already, so that a "
        "text that never lost stays finite; with 0 it grows without bound.",
    )


class BradleyTerryPool(ColumnPool):
    """Each verdict is a rater of its own: of every two texts it rated, the higher is preferred, and
    equal ratings are half a win each. Scores are logarithms of strengths, their mean zero."""

    Options: ClassVar = BradleyTerryOptions
    separate: ClassVar = True

    def __init__(self, options: BradleyTerryOptions, raters: Sequence[str] = ()) -> None:
        super().__init__(options, raters)
        self.prior = options.prior

    def score(self, ratings: Matrix) -> tuple[float | None, ...]:
        """One log-strength per generation; None where it was compared with nothing."""
        width = len(ratings[0]) if ratings else 0
        wins = _wins(ratings, width)
        compared = [i for i in range(width) if any(wins[i]) or any(row[i] for row in wins)]
        found = self._strengths(wins, compared) if compared else []
        strengths = dict(zip(compared, found, strict=True))
        return tuple(strengths.get(i) for i in range(width))

    def _strengths(self, wins: Wins, compared: list[int]) -> list[float]:
        among = [
            [wins[i][j] + self.prior / 2 if i != j else 0.0 for j in compared] for i in compared
        ]
        strengths = [1.0] * len(compared)
        for _ in range(STEPS):
            before, strengths = strengths, _step(among, strengths)
            if all(abs(a - b) < STILL for a, b in zip(before, strengths, strict=True)):
                break
        logs = [math.log(strength) for strength in strengths]
        middle = math.fsum(logs) / len(logs)
        return [round(value - middle, DIGITS) for value in logs]


def _wins(ratings: Matrix, width: int) -> Wins:
    wins = [[0.0] * width for _ in range(width)]
    for better, worse, share in _comparisons(ratings):
        wins[better][worse] += share
    return wins


def _comparisons(ratings: Matrix) -> Iterator[tuple[int, int, float]]:
    for rater in ratings:
        given = [(place, rating) for place, rating in enumerate(rater) if rating is not None]
        for (one, high), (other, low) in combinations(given, 2):
            if high != low:
                yield (one, other, 1.0) if high > low else (other, one, 1.0)
            else:
                yield one, other, 0.5
                yield other, one, 0.5


def _step(wins: Wins, strengths: list[float]) -> list[float]:
    """Hunter's equation 3, then the mean strength made one."""
    made = [_updated(wins, strengths, i) for i in range(len(strengths))]
    whole = math.fsum(made) / len(made)
    return [max(value / whole, FLOOR) for value in made]


def _updated(wins: Wins, strengths: list[float], i: int) -> float:
    met = math.fsum(
        (wins[i][j] + wins[j][i]) / (strengths[i] + strengths[j])
        for j in range(len(strengths))
        if j != i and wins[i][j] + wins[j][i]
    )
    return math.fsum(wins[i]) / met if met else strengths[i]

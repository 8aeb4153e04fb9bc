"""Dawid-Skene: how reliable each rater is, learned from all rows (Dawid & Skene 1979).

Every text has one true class, unknown; a rater says class l of a text of class k with a probability
of its own, whatever the others say. Expectation-maximization finds these probabilities and with
them, for each text, the chance of every class; its score is the rating to be expected.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.sink.pools.columns import Matrix

STILL: Final = 1e-7

Said = tuple[int | None, ...]
"""The class each rater named for one text: its index; None for none."""


class DawidSkeneOptions(Strict):
    """`dawid-skene`, or `{dawid-skene: 50}`."""

    steps: int = Field(default=100, ge=1, alias="dawid-skene", description="Most iterations.")
    smoothing: float = Field(
        default=0.01,
        ge=0,
        description="Added to every count, so that what was never seen stays possible.",
    )


class DawidSkenePool:
    """Ratings are classes: whole numbers, others rounded half up. Texts that were rated alike are
    kept once with their number, so memory is bounded by the different ways to be rated. Raters of
    one name are one rater who rated several times."""

    Options: ClassVar = DawidSkeneOptions
    fits: ClassVar = True

    def __init__(self, options: DawidSkeneOptions, raters: Sequence[str] = ()) -> None:
        self.options = options
        self.raters = tuple(raters)
        self.classes: tuple[int, ...] = ()
        self.marginals: list[float] = []
        self.errors: list[list[list[float]]] = []
        """Rater × true class × class it says: probabilities."""
        self._who: tuple[int, ...] = ()
        self._scores: dict[tuple[int | None, ...], float | None] = {}

    def fit(self, rows: Iterable[Matrix]) -> None:
        """Learn from all rows: one pass over them, then iterations over what was counted."""
        counted = Counter(column for row in rows for column in zip(*map(_whole, row), strict=True))
        rated = {column: n for column, n in counted.items() if any(c is not None for c in column)}
        self._scores = {}
        self.classes = tuple(sorted({c for column in rated for c in column if c is not None}))
        places = {value: place for place, value in enumerate(self.classes)}
        said: dict[Said, int] = {
            tuple(None if c is None else places[c] for c in column): n
            for column, n in sorted(rated.items(), key=str)
        }
        self._who = self._identities(len(next(iter(said)))) if said else ()
        self._learn(said)

    def _identities(self, width: int) -> tuple[int, ...]:
        """Which rater each row of a matrix is."""
        names = self.raters if len(self.raters) == width else tuple(map(str, range(width)))
        known = {name: place for place, name in enumerate(dict.fromkeys(names))}
        return tuple(known[name] for name in names)

    def score(self, ratings: Matrix) -> tuple[float | None, ...]:
        """The rating to be expected, per generation."""
        return tuple(self._score(column) for column in zip(*map(_whole, ratings), strict=True))

    def _score(self, column: tuple[int | None, ...]) -> float | None:
        if column not in self._scores:
            self._scores[column] = self._expected(column)
        return self._scores[column]

    def _expected(self, column: tuple[int | None, ...]) -> float | None:
        given = [value for value in column if value is not None]
        if not given:
            return None
        if len(column) != len(self._who) or not set(given) <= set(self.classes):
            return math.fsum(given) / len(given)
        said = tuple(None if c is None else self.classes.index(c) for c in column)
        chances = self._chances(said)
        return round(math.fsum(c * p for c, p in zip(self.classes, chances, strict=True)), 6)

    def _learn(self, said: dict[Said, int]) -> None:
        truth = {column: _votes(column, len(self.classes)) for column in said}
        for _ in range(self.options.steps if said else 0):
            self._maximize(said, truth)
            before, truth = truth, {column: self._chances(column) for column in said}
            if _moved(before, truth) < STILL:
                break

    def _maximize(self, said: dict[Said, int], truth: dict[Said, list[float]]) -> None:
        """Marginals and error rates from the chances of the classes (equations 2.3 and 2.4)."""
        kinds, smoothing = range(len(self.classes)), self.options.smoothing
        raters = range(max(self._who) + 1)
        sums = [smoothing for _ in kinds]
        counts = [[[smoothing for _ in kinds] for _ in kinds] for _ in raters]
        for column, n in said.items():
            for kind, chance in enumerate(truth[column]):
                sums[kind] += n * chance
                for rater, named in zip(self._who, column, strict=True):
                    if named is not None:
                        counts[rater][kind][named] += n * chance
        self.marginals = _shares(sums)
        self.errors = [[_shares(row) for row in rater] for rater in counts]

    def _chances(self, said: Said) -> list[float]:
        """The chance of every class of a text (equation 2.5)."""
        chances = list(self.marginals)
        for rater, named in zip(self._who, said, strict=True):
            if named is not None:
                chances = [
                    chance * self.errors[rater][kind][named] for kind, chance in enumerate(chances)
                ]
        return _shares(chances)


def _whole(ratings: Sequence[float | None]) -> list[int | None]:
    return [None if rating is None else math.floor(rating + 0.5) for rating in ratings]


def _votes(said: Said, classes: int) -> list[float]:
    """Where the iteration begins: the share of raters for each class."""
    return _shares([float(said.count(kind)) for kind in range(classes)])


def _shares(counts: list[float]) -> list[float]:
    whole = math.fsum(counts)
    return [count / whole for count in counts] if whole else [1 / len(counts)] * len(counts)


def _moved(before: dict[Said, list[float]], after: dict[Said, list[float]]) -> float:
    return max(
        abs(one - other)
        for column, chances in after.items()
        for one, other in zip(before[column], chances, strict=True)
    )

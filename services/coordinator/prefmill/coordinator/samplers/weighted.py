"""Weighted shares: draws that stay close to them at every length, not only in the long run.

Row by row, no model may run ahead of its share of the rows so far, or fall behind it, by more than
a limit. Where that leaves a choice, it falls by what is due, by how often models have met compared
with how often they should, and by chance. A limit of one draw would tie some models together for
ever, so it is one and a half, and every thousand rows the counts are brought back to within one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from operator import add
from random import Random
from typing import Final

from prefmill.coordinator.samplers.pairs import Table, meetings
from prefmill.coordinator.samplers.shares import ROWS, apportion

SEGMENT: Final = 1_000
"""Rows after which all counts are their shares, rounded up or down."""
RECENT: Final = 50
"""The rows at the end of a segment in which counts are put right first."""
LIMIT: Final = 1.5
TINY: Final = 1e-9


@dataclass(frozen=True)
class Design:
    """Draws of `size` models with these `shares`: strictly between 0 and 1, `size` in all."""

    shares: tuple[Fraction, ...]
    size: int

    @cached_property
    def meetings(self) -> Table:
        """How often two models are to meet, per row."""
        return meetings([float(share) for share in self.shares], self.size)


class WeightedBlock:
    """The draws of ten thousand rows, computed a segment at a time."""

    def __init__(self, design: Design, number: int, seed: int) -> None:
        """`number` of the block in its run, and the block's own seed."""
        shares, self._first = design.shares, number * ROWS
        self._design = design
        self._before = apportion(shares, design.size, self._first)
        self._shares = [float(share) for share in shares]
        self._due = [float(self._first * s - self._before[m]) for m, s in enumerate(shares)]
        self._random = Random(seed)
        self._drawn = [0] * len(shares)
        self._met = [[0] * len(shares) for _ in shares]
        self._draws: list[list[int]] = []

    def draw(self, row: int) -> frozenset[int]:
        """The models drawn for a row of the block, counted from 0."""
        while row >= len(self._draws):
            start = len(self._draws)
            for next_row in range(start, start + SEGMENT):
                self._draws.append(self._draw(next_row))
            self._settle(start)
        return frozenset(self._draws[row])

    def _draw(self, row: int) -> list[int]:
        self._due = due = list(map(add, self._due, self._shares))
        chance = self._random.random
        scores = [chance() - value for value in due]
        chosen = self._overdue(due)
        for model in chosen:
            scores = self._scores(scores, model, row)
        held = self._eligible(due, chosen)
        while len(chosen) < self._design.size:
            model = min(held, key=scores.__getitem__)
            held.remove(model)
            chosen.append(model)
            scores = self._scores(scores, model, row)
        for model in chosen:
            due[model] -= 1
            self._drawn[model] += 1
        self._meet(chosen)
        return chosen

    def _overdue(self, due: list[float]) -> list[int]:
        """Models that would fall too far behind if this row went by without them."""
        if max(due) < LIMIT - TINY:
            return []
        late = [model for model, value in enumerate(due) if value >= LIMIT - TINY]
        return sorted(late, key=lambda model: -due[model])[: self._design.size]

    def _eligible(self, due: list[float], chosen: list[int]) -> list[int]:
        """Models that would not run too far ahead, if there are enough of them."""
        held = [m for m, value in enumerate(due) if value > 1 - LIMIT + TINY and m not in chosen]
        if len(held) + len(chosen) >= self._design.size:
            return held
        return [model for model in range(len(due)) if model not in chosen]

    def _scores(self, scores: list[float], model: int, row: int) -> list[float]:
        """Lowest is drawn next: those that `model` has met too often wait."""
        met, wanted = self._met[model], self._design.meetings[model]
        return [s + m - row * w for s, m, w in zip(scores, met, wanted, strict=True)]

    def _meet(self, chosen: list[int], times: int = 1) -> None:
        for one in chosen:
            met = self._met[one]
            for other in chosen:
                met[other] += times

    def _settle(self, start: int) -> None:
        """Exchange a few draws of the segment, so that each count is its rounded share."""
        end = self._first + len(self._draws)
        counts = apportion(self._design.shares, self._design.size, end)
        wanted = [count - before for count, before in zip(counts, self._before, strict=True)]
        spare, lacking = _surplus(self._drawn, wanted), _surplus(wanted, self._drawn)
        for given, taken in zip(spare, lacking, strict=True):
            self._exchange(start, given, taken)

    def _exchange(self, start: int, given: int, taken: int) -> None:
        """One draw fewer of `given`, one more of `taken`; by way of a third model if need be."""
        if self._replace(start, given, taken):
            return
        for between in range(len(self._drawn)):
            if between in (given, taken) or not self._replace(start, given, between):
                continue
            if self._replace(start, between, taken):
                return
            self._replace(start, between, given)

    def _replace(self, start: int, given: int, taken: int) -> bool:
        """Put `taken` in the place of `given`: late in the segment, where it suits the pairs."""
        draws = self._draws[start:]
        rows = [draw for draw in draws[-RECENT:] if given in draw and taken not in draw]
        rows = rows or [draw for draw in draws if given in draw and taken not in draw]
        if not rows:
            return False
        draw = min(rows, key=lambda draw: self._strain(draw, given, taken))
        self._meet(draw, -1)
        draw[draw.index(given)] = taken
        self._meet(draw)
        for model, change in ((given, -1), (taken, 1)):
            self._drawn[model] += change
            self._due[model] -= change
        return True

    def _strain(self, draw: list[int], given: int, taken: int) -> float:
        """How much oftener than it should `taken` has met the rest of the row, less `given`."""
        rows, want = len(self._draws), self._design.meetings
        return sum(
            (self._met[taken][other] - rows * want[taken][other])
            - (self._met[given][other] - rows * want[given][other])
            for other in draw
            if other != given
        )


def _surplus(more: Sequence[int], less: Sequence[int]) -> list[int]:
    """Each model as often as its count in `more` passes that in `less`."""
    pairs = zip(more, less, strict=True)
    return [model for model, (one, two) in enumerate(pairs) for _ in range(one - two)]

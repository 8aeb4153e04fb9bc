"""What a sink has stored since it started, as its metrics tell it: sums in memory, by slot.

Only kept where metrics can be asked for. A slot that has not been heard of for an hour is dropped.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from prefmill.contracts import reasons
from prefmill.contracts.results import BatchJudged, Completed, JudgedCell, Reply
from prefmill.messaging.families import SHORT_S, Histogram

KEPT_S: Final = 3600.0

REASONS: Final = frozenset(
    {
        reasons.REJECTED,
        reasons.EMPTY,
        reasons.REFUSED,
        reasons.UNREADABLE,
        reasons.NO_ANSWER,
        reasons.DIED,
    }
)
"""Of failed attempts; others count as `other`."""

STATUSES: Final = (
    reasons.RATED,
    reasons.NOT_APPLICABLE,
    reasons.MISSING_BLOCK,
    reasons.MISSING_RATING,
    reasons.OUT_OF_RANGE,
    reasons.NOT_A_RATING,
    reasons.AMBIGUOUS,
)
"""Of readings; others count as `other`. Those of texts that were not shown are not counted."""


class AspectCounts:
    """What one judge said on one aspect."""

    __slots__ = ("above", "below", "readings", "squares", "verdicts")

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        """`read`, `unreadable` or `failed` → verdicts."""
        self.readings: Counter[str] = Counter()
        """Status → readings."""
        self.above = 0.0
        """Sum of the ratings above 0."""
        self.below = 0.0
        """Sum of those below, without the sign: sums for Prometheus may only grow."""
        self.squares = 0.0

    def add(self, cell: JudgedCell) -> None:
        """One verdict with its readings."""
        self.verdicts[_result(cell)] += 1
        for reading in cell.readings:
            status = reading.status
            if status in (reasons.NOT_SHOWN, reasons.MISSING_GENERATION):
                continue
            self.readings[status if status in STATUSES else "other"] += 1
            rating = reading.rating
            if rating is not None:
                self.squares += rating * rating
                if rating >= 0:
                    self.above += rating
                else:
                    self.below -= rating


class SlotCounts:
    """What one model or judge of a run has sent."""

    __slots__ = ("aspects", "cells", "failures", "heard")

    def __init__(self) -> None:
        self.heard = 0.0
        self.cells = 0
        self.failures: Counter[str] = Counter()
        self.aspects: defaultdict[str, AspectCounts] = defaultdict(AspectCounts)

    def add(self, cells: Sequence[Completed]) -> None:
        """The cells of a reply."""
        self.cells += len(cells)
        for cell in cells:
            if cell.failure is not None:
                reason = cell.failure.reason
                self.failures[reason if reason in REASONS else "other"] += 1
            if isinstance(cell, JudgedCell):
                self.aspects[cell.aspect].add(cell)


class Counts:
    """Sums over stored replies. `clock` gives seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.replies: Counter[str] = Counter()
        """`generate` or `judge` → replies."""
        self.slots: dict[int, SlotCounts] = {}
        self.transactions = Histogram(SHORT_S)
        self.waits = Histogram()
        """From a worker's reply until it was stored."""
        self.exports: defaultdict[str, Histogram] = defaultdict(Histogram)
        """`written` or `failed` → how long exports took."""

    def stored(self, replies: Sequence[tuple[Reply, float]], lasted: float) -> None:
        """Replies with their ages in seconds, stored by a transaction of so many seconds."""
        self.transactions.add(lasted)
        now = self._clock()
        for reply, age in replies:
            self.replies["judge" if isinstance(reply, BatchJudged) else "generate"] += 1
            self.waits.add(age)
            slot = self.slots.setdefault(reply.slot, SlotCounts())
            slot.heard = now
            slot.add(getattr(reply, "cells", ()))

    def forget(self) -> None:
        """Drop the slots that nobody has sent anything for."""
        before = self._clock() - KEPT_S
        self.slots = {slot: each for slot, each in self.slots.items() if each.heard >= before}


def _result(cell: JudgedCell) -> str:
    if cell.failure is None:
        return "read"
    return "unreadable" if cell.failure.reason == reasons.UNREADABLE else "failed"

"""How fast lanes answer, as their closed batches tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

SPAN_S: Final = 0.25
"""A speed is that of at least so long."""


@dataclass
class _Speed:
    since: float
    rows: int = 0
    rows_per_s: float = 0.0


@dataclass
class Speeds:
    """Rows a second of each lane, all its workers together. `clock` gives seconds, monotonic."""

    clock: Callable[[], float] = time.monotonic
    _lanes: dict[str, _Speed] = field(default_factory=dict[str, _Speed])

    def note(self, lane: str, rows: int) -> None:
        """Batches with so many rows of the lane have closed."""
        now = self.clock()
        speed = self._lanes.setdefault(lane, _Speed(now))
        speed.rows += rows
        if now - speed.since >= SPAN_S:
            speed.rows_per_s = speed.rows / (now - speed.since)
            speed.since, speed.rows = now, 0

    def rows_per_s(self, lane: str) -> float:
        """The speed measured last; 0 for a lane that is not known yet."""
        speed = self._lanes.get(lane)
        return speed.rows_per_s if speed else 0.0

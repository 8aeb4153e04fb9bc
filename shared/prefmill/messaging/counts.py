"""What a lane has answered since its worker started, as its metrics tell it."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from prefmill.contracts.results import Completed

LATENCIES_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of the histogram's buckets."""


class Counts:
    """Sums over answered cells, added a batch at a time."""

    def __init__(self) -> None:
        self.cells = 0
        self.batches = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.failures: Counter[str] = Counter()
        self.seconds = 0.0
        self._buckets = [0] * (len(LATENCIES_S) + 1)

    def add(self, answered: Sequence[Completed]) -> None:
        """The cells of one reply."""
        self.batches += 1
        self.cells += len(answered)
        for cell in answered:
            self.input_tokens += cell.usage.input_tokens
            self.output_tokens += cell.usage.output_tokens
            if cell.failure is not None:
                self.failures[cell.failure.reason] += 1
            lasted = cell.latency_ms / 1000
            self.seconds += lasted
            self._buckets[bisect_left(LATENCIES_S, lasted)] += 1

    def latencies(self) -> list[tuple[str, float]]:
        """The histogram as Prometheus has it: upper bound → cells no slower."""
        bounds = (*map(str, LATENCIES_S), "+Inf")
        total, found = 0, list[tuple[str, float]]()
        for bound, count in zip(bounds, self._buckets, strict=True):
            total += count
            found.append((bound, total))
        return found

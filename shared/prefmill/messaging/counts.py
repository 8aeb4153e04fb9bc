"""What a lane has answered since its worker started, as its metrics tell it."""

from collections import Counter
from collections.abc import Sequence

from prefmill.contracts.results import Completed
from prefmill.messaging.families import Histogram


class Counts:
    """Sums over answered cells, added a batch at a time."""

    def __init__(self) -> None:
        self.cells = 0
        self.batches = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.failures: Counter[str] = Counter()
        self.calls = Histogram()
        """From a call to its whole answer."""
        self.batch = Histogram()
        """From taking a batch to its last answer."""
        self.waits = Histogram()
        """From the publishing of a batch until it was taken."""

    def add(self, answered: Sequence[Completed], lasted: float) -> None:
        """The cells of one reply, and how many seconds their batch was in hand."""
        self.batches += 1
        self.batch.add(lasted)
        self.cells += len(answered)
        for cell in answered:
            self.input_tokens += cell.usage.input_tokens
            self.output_tokens += cell.usage.output_tokens
            if cell.failure is not None:
                self.failures[cell.failure.reason] += 1
            self.calls.add(cell.latency_ms / 1000)

"""How many requests keep the engine busy: what runs, and a queue as long as a few steps can empty.

The scheduler runs up to `max_num_seqs` requests, fewer if its cache is full, and takes from its
waiting queue whatever has room at each step. If the queue is empty then, steps run half full until
others have come, which takes their tokenization and a few steps of a small model; what stands in it
beyond that is only held from other workers.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

_LEAST: Final = 8
"""Requests in the queue at least: a step of a small model is shorter than a message's way."""
_ON_THE_WAY: Final = 4
"""Steps that pass before a request follows one that has finished."""
_REMEMBERED: Final = 256
"""Steps with finished requests over which the most that followed closely are remembered."""


@dataclass(slots=True)
class Pace:
    """Told of each step of the scheduler, it says how many requests are to be in flight."""

    most: int
    """Requests that the scheduler runs at once at most."""
    running: int = 0
    waiting: int = 0
    _last: deque[int] = field(default_factory=lambda: deque(maxlen=_ON_THE_WAY))
    _together: deque[int] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def step(self, running: int, waiting: int, finished: int) -> None:
        """A step has ended: so many run and wait now, so many have finished in it."""
        self.running, self.waiting = running, waiting
        self._last.append(finished)
        if finished:
            self._together.append(sum(self._last))

    @property
    def queue(self) -> int:
        """How long the waiting queue is to be: as many as have lately finished within the steps
        that it takes to fill it."""
        return min(self.most, max(_LEAST, max(self._together, default=0)))

    def wanted(self) -> int:
        """Requests in flight in all. While nothing waits, twice what runs: it has room."""
        room = self.running if self.waiting else 2 * self.running
        return min(self.most, room) + self.queue

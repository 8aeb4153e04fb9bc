"""What one request went through: how long it rests, and when it is itself at fault."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from prefmill.contracts.reasons import OUTAGE, RATE_LIMITED
from prefmill.plugins.errors import Transient

PATIENCE: Final = 5
"""So many failures, each after another call of the lane had succeeded, are the request's own."""

LONGEST_BACKOFF_S: Final = 30.0
FIRST_BACKOFF_S: Final = 0.5


def backoff_s(failures: int) -> float:
    """The longest wait after so many failures in succession, from 1: twice the last one."""
    return min(FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 16), LONGEST_BACKOFF_S)


@dataclass(slots=True)
class Tries:
    """The Transient failures of one request."""

    failures: int = 0
    refused: bool = False
    """Whether the last one was a server that was too full."""
    _blamed: int = 0
    _successes: int = -1

    @property
    def at_fault(self) -> bool:
        """Whether it is the request, not the server."""
        return self._blamed >= PATIENCE

    def blame(self, successes: int) -> None:
        """It failed, when so many calls of the lane had succeeded."""
        if successes > self._successes:
            self._blamed, self._successes = self._blamed + 1, successes

    def backoff_s(self, chance: float) -> float:
        """Seconds until the next try: exponential, with full jitter."""
        return chance * backoff_s(self.failures)


class Retries(Counter[str]):
    """Calls and probes of a lane that were Transient, by reason: each is made again."""

    def note(self, error: Transient) -> None:
        """One more."""
        self[RATE_LIMITED if error.rate_limited else OUTAGE] += 1

"""What a lane does when its server says that it is too full: hold back, try once, send less."""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from typing import Final

from prefmill.engines.tries import backoff_s

CROWDED: Final = 0.2
"""More than this share of the last answers says `too full`: worth a word."""

FEW: Final = 5
MANY: Final = 10
"""So many refusals with no answer between, or so many among the last answers, are worth a word."""

STANDS_FROM_S: Final = 2.0
"""A hold that has lasted so long, and was not lifted by the call that tries, is worth one too."""

_MEMORY: Final = 16
"""If more than half of so many last answers say `too full`, it is no stray refusal any more."""

_LATELY: Final = 100
"""So many of the last answers are what is told."""


@dataclass(slots=True)
class Gate:
    """Holds new calls back where most of the last ones were refused: for as long as the server
    asks or, if it does not say, until one is answered. One is let through at once, and in the
    latter case another after a quarter of a second, a half, and so on: its answer lifts it."""

    until: float = 0.0
    _since: float = 0.0
    _asked: float = 0.0
    """As `until`, as far as the server named it."""
    _trial: bool = False
    _holds: int = 0
    """Since a call that started in one was answered."""
    _lately: deque[bool] = field(default_factory=lambda: deque[bool](maxlen=_LATELY))
    """Whether each of the last calls was refused, the newest first."""

    def refused(self, now: float, wait_s: float, busy: int) -> None:
        """A call was told that the server is too full, and maybe to wait. If none but it was in
        flight, nothing speaks against the server's word: it holds then, too."""
        self._lately.appendleft(True)
        if not self._crowded(named=wait_s > 0) and not (wait_s and busy <= 1):
            return
        self._hold(now, wait_s)

    def answered(self, started: float) -> bool:
        """The server answered a call that started at `started`; whether that lifts the hold."""
        self._lately.appendleft(False)
        if not self._holds or started < self._since:
            return False
        lifted = self.until > 0.0
        self.until, self._asked, self._holds = 0.0, 0.0, 0
        return lifted

    def wait(self, now: float) -> float:
        """Seconds for a call that is about to start; 0 if it may, as the one that tries, too. What
        the server asked for ends by itself; where it did not say, another one tries then."""
        if self.until > now:
            if not self._trial:
                return self.until - now
            self._trial = False
        elif self._asked:
            self.until = self._asked = 0.0
        elif self.until:
            self._hold(now, 0.0)
            self._trial = False
        return 0.0

    def said(self, now: float, busy: int) -> str:
        """What a person should hear of refusals; empty while the lane gets on. The `busy` calls in
        flight may be answered yet: refusals come at once, so a few of them are soon the last."""
        refused, known = sum(self._lately), len(self._lately)
        if self._asked > now and now - self._since >= STANDS_FROM_S:
            return f"the server asks to wait, {ceil(self._asked - now)} s more"
        if (last := self._in_succession()) >= max(FEW, busy):
            refused = known = last
        elif refused < MANY or refused <= CROWDED * (known + busy):
            return ""
        return f"backing off, {refused} of the last {known} calls were refused"

    def _hold(self, now: float, wait_s: float) -> None:
        """Begin a hold, or make it longer. Where the server does not say, it begins with half of
        what a call waits by itself: many have been refused already."""
        if self.until <= now:
            self._since, self._trial, self._holds = now, True, self._holds + 1
        self.until = max(self.until, now + (wait_s or backoff_s(self._holds - 1)))
        if wait_s:
            self._asked = max(self._asked, now + wait_s)

    def _crowded(self, *, named: bool) -> bool:
        """Whether refusals are most of the last answers: of all that there were yet if the server
        says how long to wait, else of so many."""
        known = min(len(self._lately), _MEMORY) if named else _MEMORY
        return 2 * sum(islice(self._lately, _MEMORY)) > known

    def _in_succession(self) -> int:
        return next((n for n, refused in enumerate(self._lately) if not refused), len(self._lately))

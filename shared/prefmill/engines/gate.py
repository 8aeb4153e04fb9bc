"""What a lane does when its server says that it is too full: hold back, try once, send less."""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from typing import Final

CROWDED: Final = 0.2
"""More than this share of the last answers says `too full`: fewer calls at once."""

FEW: Final = 5
MANY: Final = 10
"""So many refusals with no answer between, or so many among the last answers, are worth a word."""

STANDS_FROM_S: Final = 2.0
"""A hold that has lasted so long, and was not lifted by the call that tries, is worth one too."""

_MEMORY: Final = 16
_LATELY: Final = 100
"""So many of the last answers make up that share, and what is told."""


@dataclass(slots=True)
class Gate:
    """Holds new calls back for as long as the server asks. One is let through at once: if it is
    answered, the refusal was a stray one and the hold is lifted."""

    until: float = 0.0
    _since: float = 0.0
    _trial: bool = False
    _lately: deque[bool] = field(default_factory=lambda: deque[bool](maxlen=_LATELY))
    """Whether each of the last calls was refused, the newest first."""

    def refused(self, now: float, wait_s: float) -> bool:
        """A call was told that the server is too full, and maybe to wait. Whether fewer calls
        should be sent at once."""
        self._lately.appendleft(True)
        if wait_s:
            if self.until <= now:
                self._since, self._trial = now, True
            self.until = max(self.until, now + wait_s)
        return sum(islice(self._lately, _MEMORY)) > CROWDED * _MEMORY

    def answered(self, started: float) -> bool:
        """The server answered a call that started at `started`; whether that lifts the hold."""
        self._lately.appendleft(False)
        lifted = self.until > 0.0 and started >= self._since
        if lifted:
            self.until = 0.0
        return lifted

    def wait(self, now: float) -> float:
        """Seconds for a call that is about to start; 0 if it may, as the one that tries, too."""
        if self.until > now:
            if not self._trial:
                return self.until - now
            self._trial = False
        elif self.until:
            self.until = 0.0
        return 0.0

    def said(self, now: float, busy: int) -> str:
        """What a person should hear of refusals; empty while the lane gets on. The `busy` calls in
        flight may be answered yet: refusals come at once, so a few of them are soon the last."""
        refused, known = sum(self._lately), len(self._lately)
        if self.until > now and now - self._since >= STANDS_FROM_S:
            return f"the server asks to wait, {ceil(self.until - now)} s more"
        if (last := self._in_succession()) >= max(FEW, busy):
            refused = known = last
        elif refused < MANY or refused <= CROWDED * (known + busy):
            return ""
        return f"backing off, {refused} of the last {known} calls were refused"

    def _in_succession(self) -> int:
        return next((n for n, refused in enumerate(self._lately) if not refused), len(self._lately))

"""What a lane does when its server says that it is too full: hold back, try once, send less."""

from dataclasses import dataclass
from typing import Final

CROWDED: Final = 0.2
"""More than this share of the last answers says `too full`: fewer calls at once."""

LONG_S: Final = 5.0
"""A hold of so many seconds is worth a word at once."""

_MEMORY: Final = 16
"""About so many answers make up that share."""


@dataclass(slots=True)
class Gate:
    """Holds new calls back for as long as the server asks. One is let through at once: if it is
    answered, the refusal was a stray one and the hold is lifted. `told` is whether a person
    should hear of the hold: it is long, or the call that tried was refused too."""

    until: float = 0.0
    told: bool = False
    _since: float = 0.0
    _trial: bool = False
    _share: float = 0.0

    def refused(self, started: float, now: float, wait_s: float) -> bool:
        """A call that started at `started` was told that the server is too full, and maybe to
        wait. Whether fewer calls should be sent at once."""
        self._share += (1.0 - self._share) / _MEMORY
        held = self.until > now
        if held and started >= self._since:
            self.told = True
        if wait_s and not held:
            self._since, self._trial, self.told = now, True, wait_s >= LONG_S
        if wait_s:
            self.until = max(self.until, now + wait_s)
        return self._share > CROWDED

    def answered(self, started: float) -> bool:
        """The server answered a call that started at `started`; whether that lifts the hold."""
        self._share -= self._share / _MEMORY
        lifted = self.until > 0.0 and started >= self._since
        if lifted:
            self.until, self.told = 0.0, False
        return lifted

    def wait(self, now: float) -> float:
        """Seconds for a call that is about to start; 0 if it may, as the one that tries, too."""
        if self.until > now:
            if not self._trial:
                return self.until - now
            self._trial = False
        elif self.until:
            self.until, self.told = 0.0, False
        return 0.0

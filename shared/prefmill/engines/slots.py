"""How many calls of a lane may be in flight: a limit that shrinks when the server is full."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

REGAINED: Final = 0.125
"""Slots that a success gives back where many are left; thrice as many if one is."""


@dataclass(slots=True)
class Slots:
    """At most `most` takers at once, first come, first served.

    `shrink` takes one slot away for each call that was refused; each success then gives an eighth
    of one back, and up to a quarter more where few are left, so that those who share a server's
    limit come to equal parts of it. So every slot stays open while a tenth of the calls is refused,
    and where a server answers only so many, a ninth to a fifth of what is sent is refused.
    """

    most: int
    busy: int = 0
    limit: float = 0.0
    _waiting: deque["asyncio.Future[bool]"] = field(default_factory=deque[asyncio.Future[bool]])

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    def take(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if self._waiting or self.busy + 1 > self.limit:
            return False
        self.busy += 1
        return True

    async def wait(self) -> bool:
        """Wait for a slot; False, without one, if all who wait are sent away."""
        granted = asyncio.get_running_loop().create_future()
        self._waiting.append(granted)
        self._grant()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.result():
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back."""
        self.busy -= 1
        if self._waiting:
            self._grant()

    def send_away(self) -> None:
        """Let all who wait go on without a slot."""
        while self._waiting:
            _settle(self._waiting.popleft(), granted=False)

    def shrink(self) -> None:
        """The server was too full for a call: a slot less, unless it is the last."""
        self.limit = max(1.0, self.limit - 1.0)

    def grow(self) -> None:
        """A call succeeded: let a little more through."""
        if self.limit < self.most:
            regained = REGAINED * (1.0 + 2.0 / self.limit)
            self.limit = min(self.limit + regained, float(self.most))
            self._grant()

    def _grant(self) -> None:
        while self._waiting and self.busy < int(self.limit):
            if _settle(self._waiting.popleft(), granted=True):
                self.busy += 1


def _settle(waiter: "asyncio.Future[bool]", *, granted: bool) -> bool:
    """Whether somebody still waited."""
    if waiter.done():
        return False
    waiter.set_result(granted)
    return True

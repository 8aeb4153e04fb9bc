"""How many calls of a lane may be in flight: a limit that shrinks when the server is full."""

import asyncio
from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Slots:
    """At most `most` takers at once, first come, first served.

    `cut` halves the limit, once for all calls that were in flight together; each success then
    raises it again, by one up to where it was cut, more slowly beyond.
    """

    most: int
    busy: int = 0
    limit: float = 0.0
    _slow_from: float = 0.0
    _cut_at: float = float("-inf")
    _waiting: deque["asyncio.Future[bool]"] = field(default_factory=deque[asyncio.Future[bool]])

    def __post_init__(self) -> None:
        self.limit = self._slow_from = float(self.most)

    def take(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if self._waiting or self.busy >= int(self.limit):
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

    def cut(self, started: float, now: float) -> None:
        """The server was too full for a call that started at `started`: halve the limit, unless
        it was halved since that call started."""
        if started > self._cut_at:
            self._cut_at = now
            self.limit = self._slow_from = max(1.0, self.limit / 2)

    def grow(self) -> None:
        """A call succeeded: let a little more through."""
        if self.limit < self.most:
            self.limit += 1.0 if self.limit < self._slow_from else 1.0 / self.limit
            self.limit = min(self.limit, float(self.most))
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

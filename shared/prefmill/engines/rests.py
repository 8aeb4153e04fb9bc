"""Sleeps that can be cut short, all at once."""

import asyncio
from collections.abc import Awaitable, Callable


class Rests:
    """Those who rest for one reason, until their time is over or all of them are woken."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._woken: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._woken)

    async def rest(self, seconds: float) -> None:
        """Sleep so long, but no longer than until `wake`."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asleep = asyncio.ensure_future(self._sleep(seconds))
        self._woken.add(woken)
        try:
            await asyncio.wait((woken, asleep), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._woken.discard(woken)
            asleep.cancel()

    def wake(self) -> None:
        """End every rest."""
        for woken in self._woken:
            if not woken.done():
                woken.set_result(None)

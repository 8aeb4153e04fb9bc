"""How long a lane's engine has been starting, and what it is at: for health, log and metrics."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

log: Final = logging.getLogger("prefmill.lane")

LOADING: Final = "loading the model"
ASKING: Final = "waiting for the model's first answer"

_SAID_FROM_S: Final = 1.0
"""Engines that only open a connection are not said to load."""
_EVERY_S: Final = 10.0


class Loading:
    """The times of one start, in seconds: of loading, and until the first answer."""

    def __init__(self, slug: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._slug = slug
        self._log = logging.LoggerAdapter(log, {"lane": slug})
        self._clock = clock
        self._began: float | None = None
        self._phase_began = 0.0
        self._phase = ""
        self._load_s = 0.0
        self._whole_s = 0.0
        self._reporter: asyncio.Task[None] | None = None

    @property
    def seconds(self) -> float:
        """From the begin of the last start to its first answer, or until now."""
        return self._whole_s if self._began is None else self._clock() - self._began

    @property
    def lasts(self) -> bool:
        """Whether the engine is being started now."""
        return self._began is not None

    @property
    def detail(self) -> str:
        """`loading the model: 37 s`; empty before there is anything to be said, and afterwards."""
        lasted = self._clock() - self._phase_began
        if not self._phase or (self._phase == LOADING and lasted < _SAID_FROM_S):
            return ""
        return f"{self._phase}: {lasted:.0f} s"

    def begin(self) -> None:
        """The engine is started. Its progress is logged every few seconds until `end`."""
        self._began = self._clock()
        self._enter(LOADING)
        self._reporter = asyncio.create_task(self._report())

    def loaded(self) -> None:
        """The engine runs; it has yet to answer."""
        self._load_s = self._clock() - self._phase_began
        self._enter(ASKING if self._load_s >= _SAID_FROM_S else "")

    def end(self, problem: str) -> None:
        """The engine has answered, or cannot, as `problem` says."""
        if self._reporter is not None:
            self._reporter.cancel()
        self._whole_s, self._began, self._phase = self.seconds, None, ""
        if problem:
            self._log.error(
                "lane %s: not ready after %.1f s: %s", self._slug, self._whole_s, problem
            )
        else:
            parts = (self._slug, self._whole_s, self._load_s)
            self._log.info("lane %s: ready after %.1f s, of which %.1f s of loading", *parts)

    def _enter(self, phase: str) -> None:
        self._phase, self._phase_began = phase, self._clock()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            if self.detail:
                self._log.info("lane %s: %s", self._slug, self.detail)

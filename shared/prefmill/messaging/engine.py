"""A lane's engine, from its name to `ready`: load, start, probe.

Comes in: a LaneSpec. Goes out: the caller of that engine, health, and one line on what is wrong.
Never does: retry; that is the caller's part.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from prefmill.contracts.chat import Params
from prefmill.contracts.workers import LaneHealth, LaneSpec
from prefmill.engines.caller import LaneCaller, SharedLimit
from prefmill.plugins.engine import Engine
from prefmill.plugins.errors import EngineError, RecipeError
from prefmill.plugins.registry import load, options_of

_PROBE: Final = Params()


class HostedEngine:
    """The engine of one lane in this process. `changed()` is called whenever health or detail may
    differ from before."""

    def __init__(
        self, spec: LaneSpec, slots: int, permits: SharedLimit | None, changed: Callable[[], None]
    ) -> None:
        self._spec = spec
        self._slots = slots
        self._permits = None if permits is None else InterruptiblePermits(permits)
        self._changed = changed
        self._engine: Engine | None = None
        self._caller: LaneCaller | None = None
        self._opening = True
        self._detail = ""

    @property
    def health(self) -> LaneHealth:
        """`ready` once the probe has passed and as long as calls do not pause the lane."""
        if self._opening or self._caller is None:
            return "unusable" if self._detail else "probing"
        return self._caller.health

    @property
    def detail(self) -> str:
        """Why it is not ready, or what it waits for."""
        return self._detail if self._caller is None else self._caller.detail

    @property
    def busy(self) -> int:
        """Requests that the engine works on now; those that wait are not among them."""
        return self._caller.busy if self._caller else 0

    @property
    def caller(self) -> LaneCaller:
        """What answers requests; there once `health` has been `ready`."""
        assert self._caller is not None, "a lane takes batches only when it is ready"
        return self._caller

    async def open(self) -> None:
        """Load, start and probe, as far as that is still to be done; afterwards the lane is
        ready, or unusable with a detail."""
        self._opening, self._detail = True, ""
        self._changed()
        if self._caller is None:
            self._detail = await self._start()
        if self._caller is not None:
            await self._caller.open(_PROBE)
        self._opening = False
        self._changed()

    def interrupt(self) -> None:
        """Let no call begin that still waits for a permit."""
        if self._permits is not None:
            self._permits.interrupt()

    async def close(self) -> None:
        """Close what `open` opened."""
        if self._engine is not None:
            await self._engine.stop()

    async def _start(self) -> str:
        """What is wrong, in one line; empty if the engine runs."""
        try:
            plugin = load("engines", self._spec.engine)
            engine = plugin(options_of(plugin, self._spec.options, f"lane {self._spec.slug}"))
            if missing := engine.missing():
                return missing
            await engine.start()
        except (RecipeError, EngineError) as error:
            return str(error)
        self._engine = engine
        self._caller = LaneCaller(
            engine, concurrency=self._slots, permits=self._permits, on_change=self._changed
        )
        return ""


class InterruptiblePermits:
    """Shared permits of which those who wait can be sent away: a worker that stops must not begin
    what it has not paid for yet."""

    def __init__(self, permits: SharedLimit) -> None:
        self._permits = permits
        self._waiting: set[asyncio.Task[Any]] = set()
        self._interrupted = False
        self.take = permits.take
        self.release = permits.release

    async def acquire(self) -> None:
        """Wait for a permit; cancelled by `interrupt`."""
        task = asyncio.current_task()
        assert task is not None, "calls are made by tasks"
        self._waiting.add(task)
        try:
            if self._interrupted:
                task.cancel()
            await self._permits.acquire()
        finally:
            self._waiting.discard(task)

    def interrupt(self) -> None:
        """Cancel the tasks that wait, and those that are going to."""
        self._interrupted = True
        for task in self._waiting:
            task.cancel()

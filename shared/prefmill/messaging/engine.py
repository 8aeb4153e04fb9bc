"""A lane's engine, from its name to `ready`: load, start, probe.

Comes in: a LaneSpec. Goes out: the caller of that engine, health, and one line on what is wrong.
Never does: retry; that is the caller's part.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prefmill.contracts.chat import Params
from prefmill.contracts.reasons import ENGINE_DIED
from prefmill.contracts.results import LaneProblem
from prefmill.contracts.workers import LaneHealth, LaneSpec
from prefmill.engines.caller import LaneCaller, SharedLimit
from prefmill.engines.text import one_line
from prefmill.messaging.loading import Loading
from prefmill.plugins.engine import Engine
from prefmill.plugins.errors import EngineDied, EngineError, RecipeError
from prefmill.plugins.registry import load, options_of

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log: Final = logging.getLogger("prefmill.lane")

_PROBE: Final = Params()

_MEASURED_BY_ITSELF: Final = 1_000_000
"""The limit of a caller whose engine says how many calls it wants: none of its own."""


@dataclass(frozen=True)
class Slots:
    """Calls in flight: `usual` where the engine does not say how many it wants; at `most` so
    many where it does, if that is limited."""

    usual: int
    most: int | None = None


class HostedEngine:
    """The engine of one lane in this process. `changed()` is called whenever health or detail may
    differ from before."""

    def __init__(
        self, spec: LaneSpec, slots: Slots, permits: SharedLimit | None, changed: Callable[[], None]
    ) -> None:
        self._spec = spec
        self._slots = slots
        self._permits = None if permits is None else InterruptiblePermits(permits)
        self._changed = changed
        self._engine: Engine | None = None
        self._caller: LaneCaller | None = None
        self._wanted: Callable[[int], int | None] | None = None
        self._opening = True
        self._problem = ""
        self.loading = Loading(spec.slug)

    @property
    def health(self) -> LaneHealth:
        """`ready` once the probe has passed and as long as calls do not pause the lane."""
        if self._opening or self._caller is None:
            return "unusable" if self._problem else "probing"
        return self._caller.health

    @property
    def detail(self) -> str:
        """Why it is not ready, or what it waits for."""
        said = self._problem if self._caller is None else self._caller.detail
        return said or self.loading.detail

    @property
    def busy(self) -> int:
        """Requests that the engine works on now; those that wait are not among them."""
        return self._caller.busy if self._caller else 0

    @property
    def caller(self) -> LaneCaller:
        """What answers requests; there once `health` has been `ready`."""
        assert self._caller is not None, "a lane takes batches only when it is ready"
        return self._caller

    @property
    def retries(self) -> Mapping[str, int]:
        """Calls that were waited for and made again, by reason."""
        return self._caller.retries if self._caller else {}

    @property
    def metrics(self) -> "CollectorRegistry | None":
        """What the engine itself exports."""
        exported = getattr(self._engine, "metrics", None)
        return exported() if exported else None

    def slots(self, running: int) -> int:
        """How many calls are to be in flight, when `running` are."""
        if self._wanted is None or (wanted := self._ask(self._wanted, running)) is None:
            return self._slots.usual
        return max(1, wanted if self._slots.most is None else min(wanted, self._slots.most))

    def in_hand(self, running: int) -> int:
        """How many requests may be in hand, when `running` are: those in flight, and as many of
        those that were refused and wait, as these leave their slots to others."""
        slots, caller = self.slots(running), self._caller
        return slots + min(caller.refused, slots) if caller and caller.refused else slots

    async def open(self) -> None:
        """Load, start and probe, as far as that is still to be done; afterwards the lane is
        ready, or unusable with a detail."""
        self._opening, self._problem = True, ""
        self.loading.begin()
        self._changed()
        try:
            if self._caller is None:
                self._problem = await self._start()
            if self._caller is not None:
                self.loading.loaded()
                self._changed()
                await self._caller.open(_PROBE)
        finally:
            self._opening = False
            self.loading.end("" if self.health == "ready" else self.detail or "given up")
        self._changed()

    @property
    def died(self) -> LaneProblem | None:
        """The engine's end; None while it lives."""
        problem = self._caller.problem if self._caller else None
        return problem if problem and problem.reason == ENGINE_DIED else None

    def _ask(self, wanted: Callable[[int], int | None], running: int) -> int | None:
        try:
            return wanted(running)
        except EngineDied as error:
            self.caller.died(error)
            return 1

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
        except Exception as error:
            slug = self._spec.slug
            log.exception("lane %s: the engine cannot start", slug, extra={"lane": slug})
            return one_line(f"the engine cannot start: {error!r}")
        self._engine = engine
        self._wanted = getattr(engine, "wanted", None)
        self._caller = LaneCaller(
            engine,
            concurrency=self._slots.usual if self._wanted is None else _MEASURED_BY_ITSELF,
            permits=self._permits,
            on_change=self._changed,
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

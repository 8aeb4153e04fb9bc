"""One lane of one worker: its engine, its pull loop, and the cells in hand.

Comes in: batches of the lane. Goes out: replies, whole or in part; the lane's health.
Never does: retry a call (its caller does), or decide what is asked next.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from msgspec import DecodeError
from nats.aio.client import Client

from prefmill.contracts.channels import WORK, Channel
from prefmill.contracts.reasons import UNUSABLE
from prefmill.contracts.results import Completed, LaneProblem
from prefmill.contracts.work import Batch
from prefmill.contracts.workers import LaneHealth, LaneServed, LaneSpec, needs_devices
from prefmill.engines.caller import LaneDown, SharedLimit
from prefmill.messaging.cells import CellPool, Job
from prefmill.messaging.cellwork import CellWork
from prefmill.messaging.counts import Counts
from prefmill.messaging.engine import HostedEngine, Slots
from prefmill.messaging.held import NATS_TROUBLE, Held
from prefmill.messaging.pull import MOST_DELIVERIES, PullLoop
from prefmill.messaging.replies import messages_of
from prefmill.messaging.steps import batch_step, with_calls
from prefmill.messaging.traces import Headers
from prefmill.plugins.errors import RecipeError

_log: Final = logging.getLogger("prefmill.lane")

_GLANCE_S: Final = 0.02

_LAST_WORDS_S: Final = 10.0
"""For replies and acknowledgements after the last call; NATS may be away."""


@dataclass(frozen=True)
class Surroundings:
    """What a lane is given by its worker. `send` publishes one message of a channel and returns
    when the stream has it; `changed` is called when the lane's health may differ, `died` when its
    engine has ended, and `own_devices` before a model is loaded into this process's children."""

    nc: Client
    send: Callable[[Channel, bytes, Headers], Awaitable[None]]
    changed: Callable[[], None]
    died: Callable[[str], None]
    own_devices: Callable[[], None]
    worker: str
    ack_wait_s: float
    permits: SharedLimit | None = None


class Lane:
    """Serves one lane until it is drained."""

    def __init__(self, spec: LaneSpec, work: CellWork, around: Surroundings, slots: Slots) -> None:
        self.spec = spec
        self._work = work
        self._around = around
        self._engine = HostedEngine(spec, slots, around.permits, self._engine_changed)
        self._pool = CellPool(self._in_hand, self._settle, self._wake, self._failed)
        self._problem: LaneProblem | None = None
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self.counts = Counts()
        self._log = logging.LoggerAdapter(_log, {"lane": spec.slug})
        self.loop = PullLoop(
            around.nc,
            str(WORK[spec.kind].stream),
            spec.slug,
            self._room,
            self._take,
            ack_wait=around.ack_wait_s,
        )

    def open(self) -> None:
        """Start the engine and the pull loop; batches are taken once the probe has passed."""
        self._running = self._spawn(self.loop.run())
        if needs_devices(self.spec):
            self._around.own_devices()
        self._spawn(self._engine.open())
        self._spawn(self._keep_filled())

    @property
    def engine(self) -> HostedEngine:
        """What answers its cells."""
        return self._engine

    def served(self) -> LaneServed:
        """How this worker stands with the lane."""
        health: LaneHealth = self._engine.health if self._problem is None else "unusable"
        detail = self._engine.detail if self._problem is None else self._problem.detail
        return LaneServed(
            slug=self.spec.slug,
            kind=self.spec.kind,
            digest=self.spec.digest,
            slots=self._engine.slots(self._pool.busy),
            busy=self._engine.busy,
            health=health,
            detail=detail,
        )

    def clear(self) -> None:
        """Try a paused lane again: probe it, and take batches if that goes well."""
        if self._problem is None and self._engine.health != "unusable":
            return
        self._problem = None
        self._spawn(self._engine.open())

    def withdraw(self, ids: Collection[str]) -> None:
        """Drop those of the batches that have not started."""
        for job in self._pool.withdraw(ids):
            job.step.end("withdrawn")
            self._spawn(job.held.done())

    async def drain(self, deadline_s: float) -> None:
        """Take nothing more, give back what has not started, let calls go on until the deadline,
        reply to the rest in part. Calls that only wait (for a permit, for a server that is busy)
        have cost nothing yet, and are not waited for."""
        assert self._running is not None, "opened before it is drained"
        self._stopping = True
        await self.loop.stop()
        self._return(self._pool.halt())
        self._engine.interrupt()
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self._pool.busy and self._engine.busy:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(_GLANCE_S)
        await self._pool.abandon()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await asyncio.shield(self._running)

    async def close(self) -> None:
        """End what is left, and the engine. After `drain`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._engine.close()

    def _in_hand(self) -> int:
        return self._engine.in_hand(self._pool.busy)

    async def _keep_filled(self) -> None:
        """There may be room while no call ends: an engine that measures itself wants more, or
        calls that were refused begin to wait."""
        while not self._stopping:
            await asyncio.sleep(_GLANCE_S)
            self._pool.refill()

    def _room(self) -> int:
        ready = self._engine.health == "ready" and self._problem is None and not self._stopping
        return 1 if ready and not self._pool.waiting else 0

    async def _take(self, group: Sequence[Held]) -> None:
        for held in group:
            try:
                batch = self._work.batch.read(held.data)
            except DecodeError as error:
                await held.bury(f"not a {self._work.batch.__name__}: {error}")
            else:
                await self._accept(held, batch)

    async def _accept(self, held: Held, batch: Batch) -> None:
        if self._stopping or self._problem is not None:
            self._return([Job(held, batch, _never, ())])
        elif batch.lane_digest != self.spec.digest:
            self._refuse(batch)
            await held.give_back(delay=1.0)
        else:
            self._begin(held, batch)

    def _begin(self, held: Held, batch: Any) -> None:
        orders = ((row, cell) for row in batch.rows for cell in row.cells)
        try:
            answer = self._work.begin(batch)
        except RecipeError as error:
            self._pause(LaneProblem(reason=UNUSABLE, detail=str(error)))
            self._settle(Job(held, batch, _never, ()))
        else:
            self.counts.waits.add(held.age_s())
            call, step = self._engine.caller.call, batch_step(self.spec, held, batch)
            ask = with_calls(step, lambda row, cell: answer(row, cell, call))
            self._pool.add(Job(held, batch, ask, orders, step))

    def _refuse(self, batch: Batch) -> None:
        self._problem = LaneProblem(
            reason=UNUSABLE,
            detail=f"a batch wants lane {batch.lane} as {batch.lane_digest[:12]}, this worker "
            f"serves it as {self.spec.digest[:12]}: give both the same engine and options",
        )
        self._around.changed()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, LaneDown):
            self._pause(error.problem)
            return
        self._log.error("lane %s: a cell broke the worker", self.spec.slug, exc_info=error)
        self._pause(LaneProblem(reason=UNUSABLE, detail=f"{type(error).__name__}: {error}"))

    def _pause(self, problem: LaneProblem) -> None:
        """The lane is down: reply in part, give back what has not started, fetch no more."""
        if self._problem is None:
            self._problem = problem
            self._around.changed()
        self._return(self._pool.halt())

    def _return(self, jobs: Sequence[Job]) -> None:
        """Give back what has not started. A batch that came often already is answered with
        nothing instead: no orderly return may make it look like one that kills its worker."""
        for job in jobs:
            if job.held.deliveries >= MOST_DELIVERIES:
                self._settle(job)
            else:
                job.step.end("given back before it began")
                self._spawn(job.held.give_back())

    def _settle(self, job: Job) -> None:
        self.counts.add(job.answered, time.monotonic() - job.taken)
        self._spawn(self._reply(job, None if self._engine.died else self._problem))

    async def _reply(self, job: Job, problem: LaneProblem | None) -> None:
        """The reply first, acknowledged by the stream; then the batch."""
        reply = self._work.reply(
            batch=job.batch.id,
            run=job.batch.run,
            slot=job.batch.slot,
            worker=self._around.worker,
            problem=problem,
            cells=tuple(job.answered),
        )
        for message in messages_of(reply):
            await self._send(message, job.step.headers)
        job.step.end(problem.detail if problem else "", answered=len(job.answered))
        self._tell(job)
        await job.held.done()

    def _tell(self, job: Job) -> None:
        about = {"run": job.batch.run, "batch": job.batch.id, "lane": self.spec.slug}
        failed = sum(cell.failure is not None for cell in job.answered)
        said = "answered %d cells, %d of them failed, in %.1f s"
        lasted = time.monotonic() - job.taken
        _log.info(said, len(job.answered), failed, lasted, extra=about)

    async def _send(self, message: bytes, headers: Headers) -> None:
        """Until RESULTS has it: an answer that was paid for is worth the patience."""
        pause = 0.1
        while True:
            try:
                await self._around.send(self._work.channel, message, headers)
            except NATS_TROUBLE as error:
                self._log.warning("reply not stored yet: %s", error or type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(2.0, pause * 2)
            else:
                return

    def _engine_changed(self) -> None:
        if died := self._engine.died:
            self._pause(died)
            self._around.died(died.detail)
        self._around.changed()
        self._wake()

    def _wake(self) -> None:
        self.loop.wake()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._complaining(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _complaining(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except NATS_TROUBLE as error:
            self._log.warning("lane %s: %s", self.spec.slug, error or type(error).__name__)
        except Exception:  # noqa: BLE001 - it is said
            self._log.exception("lane %s: a part of it has ended", self.spec.slug)


async def _never(_row: Any, _cell: Any) -> Completed:
    raise AssertionError("a batch without cells was asked for one")

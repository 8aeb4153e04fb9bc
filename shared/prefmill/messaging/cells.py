"""The cells of all batches in hand, run together in one lane's slots.

Comes in: jobs, each a batch with its cells. Goes out: jobs that are settled, whole or in part.
Never does: talk to NATS or to an engine; both are handed in.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from prefmill.contracts.results import Completed
from prefmill.contracts.work import Batch
from prefmill.messaging.held import Held
from prefmill.messaging.traces import SILENT, Step

Answer = Callable[[Any, Any], Awaitable[Completed]]
"""Answers one cell, given its row and its order. Raises only what stops the lane."""


class Job:
    """A batch in hand: what of it is to be started, runs, and is answered."""

    __slots__ = (
        "answer",
        "answered",
        "batch",
        "held",
        "orders",
        "running",
        "started",
        "step",
        "taken",
    )

    def __init__(
        self,
        held: Held,
        batch: Batch,
        answer: Answer,
        orders: Iterable[tuple[Any, Any]],
        step: Step = SILENT,
    ) -> None:
        self.held = held
        self.batch = batch
        self.answer = answer
        self.orders = deque(orders)
        self.answered: list[Completed] = []
        self.running = 0
        self.started = False
        self.step = step
        self.taken = time.monotonic()

    @property
    def settled(self) -> bool:
        """Nothing of it runs, and nothing will be started."""
        return not self.running and not self.orders


class CellPool:
    """Runs at most `slots()` cells at once, those of the oldest batch first. Call `refill()` when
    that may have grown; when it has shrunk, cells that run go on, and fewer follow them.

    `settle(job)` is called once for each job that started, `freed()` whenever the last job that
    had not started has, and `failed(error)` for whatever an answer raises.
    """

    def __init__(
        self,
        slots: Callable[[], int],
        settle: Callable[[Job], None],
        freed: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._slots = slots
        self._settle = settle
        self._freed = freed
        self._failed = failed
        self._jobs: deque[Job] = deque()
        self._runners: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._opening = False

    @property
    def busy(self) -> int:
        """Cells that run now."""
        return self._busy

    @property
    def waiting(self) -> bool:
        """Whether a job in hand has not started: no other is to be fetched then."""
        return any(not job.started for job in self._jobs)

    def add(self, job: Job) -> None:
        """Take a job; its cells start as slots are free."""
        if job.settled:
            self._settle(job)
            return
        self._jobs.append(job)
        self._fill(self._slots())

    def refill(self) -> None:
        """There may be more slots now."""
        self._fill(self._slots())

    def withdraw(self, ids: Collection[str] | None = None) -> list[Job]:
        """Take out the jobs (of these ids, or all) that have not started."""
        gone = [
            job for job in self._jobs if not job.started and (ids is None or job.batch.id in ids)
        ]
        for job in gone:
            self._jobs.remove(job)
        if gone:
            self._freed()
        return gone

    def halt(self) -> list[Job]:
        """Start no further cell of the jobs in hand; returns those that have not started.
        The others settle, in part, as soon as what runs of them has ended."""
        untouched = self.withdraw()
        cut_short, self._jobs = self._jobs, deque()
        for job in cut_short:
            job.orders.clear()
            if job.settled:
                self._settle(job)
        return untouched

    async def idle(self) -> None:
        """Wait until nothing runs."""
        while self._runners:
            await asyncio.wait(self._runners)

    async def abandon(self) -> None:
        """Cancel what runs. After `halt`: the jobs settle with what was answered."""
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)

    def _fill(self, slots: int) -> None:
        """Open one more of so many slots if there is something to start in it. One at a time: a
        slot that takes a cell opens the next, so that instant answers do not open slots for
        nothing."""
        if not self._opening and self._busy < slots and self._jobs:
            self._busy += 1
            self._opening = True
            runner = asyncio.create_task(self._run())
            self._runners.add(runner)
            runner.add_done_callback(self._ended)

    def _ended(self, runner: asyncio.Task[None]) -> None:
        self._runners.discard(runner)
        if runner.cancelled():
            self._busy -= 1
            self._opening = False

    async def _run(self) -> None:
        """One slot: cell after cell, until none is left to be started or the slot is closed."""
        self._opening = False
        while self._busy <= (slots := self._slots()) and self._jobs:
            job = self._jobs[0]
            row, cell = job.orders.popleft()
            job.running += 1
            self._mark(job)
            self._fill(slots)
            try:
                job.answered.append(await job.answer(row, cell))
            except Exception as error:  # noqa: BLE001 - whatever it is, the lane decides
                self._failed(error)
            finally:
                job.running -= 1
                if job.settled:
                    self._settle(job)
        self._busy -= 1

    def _mark(self, job: Job) -> None:
        if not job.orders:
            self._jobs.popleft()
        if not job.started:
            job.started = True
            self._freed()

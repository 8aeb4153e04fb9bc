"""The one layer that retries: a lane's calls, how many at once, and when the lane is given up.

A Transient failure is waited out, for ever, and is no attempt. Each call that a server is too full
for (429, 503, 529) takes a slot away until others succeed; where most are refused, the gate holds
all back. A request that fails by time-out, server error, lost connection or broken answer
tries.PATIENCE times, while others of the lane succeed in between, is itself at fault. A lane goes
down at once when its engine is Unusable, and after streak.LONGEST rejections or broken answers that
are alike with no success between. A failure that comes in when the lane is down, the last of such a
streak included, is not counted: its call raises LaneDown, as do all that wait; a success that comes
in is returned.
"""

import asyncio
import logging
import random as _random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from prefmill.contracts.chat import Failure, Params, Usage
from prefmill.contracts.reasons import ENGINE_DIED, NO_ANSWER, REJECTED, STREAK, UNUSABLE
from prefmill.contracts.results import LaneProblem
from prefmill.contracts.workers import LaneHealth
from prefmill.engines.gate import Gate
from prefmill.engines.outcome import LaneDown, Outcome
from prefmill.engines.permits import SharedLimit
from prefmill.engines.rests import Rests
from prefmill.engines.slots import Slots
from prefmill.engines.streak import LONGEST, Streak
from prefmill.engines.text import clean, one_line
from prefmill.engines.tries import PATIENCE, Retries, Tries
from prefmill.plugins.engine import ChatRequest, Completion, Engine
from prefmill.plugins.errors import EngineDied, EngineError, Rejected, Transient, Unusable

WAITING_FROM: Final = 5
"""So many outages with no answer between, and as many as are in flight: the lane says it waits."""

__all__ = ["LaneCaller", "LaneDown", "Outcome", "SharedLimit"]

_log: Final = logging.getLogger(__name__)


class LaneCaller:
    """Calls one engine for one lane. `on_change` is called when `health` or `detail` changes."""

    def __init__(
        self,
        engine: Engine,
        *,
        concurrency: int,
        permits: SharedLimit | None = None,
        on_change: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.engine = engine
        self._slots = Slots(concurrency)
        self.retries = Retries()
        self._permits = permits
        self._on_change = on_change or (lambda: None)
        self._clock, self._random = clock, random
        self._problem: LaneProblem | None = None
        self._probing = self._told = False
        self._streak = Streak()
        self._successes = self._misses = 0
        self._last_miss = self._last_refusal = ""
        self._permitless = 0
        self._gate = Gate()
        self._resting, self._refused, self._held = Rests(sleep), Rests(sleep), Rests(sleep)

    @property
    def busy(self) -> int:
        """Calls in flight; those that wait, to be tried again or for a permit, are not among
        them."""
        return self._slots.busy - self._permitless

    @property
    def refused(self) -> int:
        """Calls that the server was too full for, and that wait to be made again."""
        return len(self._refused)

    @property
    def problem(self) -> LaneProblem | None:
        """Why the lane is down; None while it is not."""
        return self._problem

    @property
    def health(self) -> LaneHealth:
        """`unusable` while the lane is down, `probing` during `open`, else `ready`."""
        if self._problem is not None:
            return "unusable"
        return "probing" if self._probing else "ready"

    @property
    def detail(self) -> str:
        """Why the lane is down, waits or is slow; empty if all is well."""
        if self._problem is not None:
            return self._problem.detail
        if self._misses >= (1 if self._probing else max(WAITING_FROM, self.busy)):
            many = f"{self._misses} failures in succession, the last: " if self._misses > 1 else ""
            return f"waiting: {many}{self._last_miss}"
        if self._probing and self._last_refusal:
            return f"rate limited: {self._last_refusal}"
        said = self._gate.said(self._clock(), self.busy)
        return f"rate limited: {said}; {self._last_refusal}" if said else ""

    async def open(self, params: Params) -> LaneProblem | None:
        """Probe the engine, and open the lane, also one that was down. What is Transient is
        waited out. The problem, if there is one."""
        self._probing, self._problem = True, None
        self._on_change()
        tries = Tries()
        try:
            while (wait := await self._probe(params, tries)) is not None:
                await self._resting.rest(wait)
        finally:
            self._probing = False
        if self._problem is None:
            self.clear()
        return self._problem

    def died(self, error: EngineDied) -> None:
        """The engine was found dead outside of any call."""
        self._go_down(ENGINE_DIED, error.detail)

    def clear(self) -> None:
        """Forget all trouble and take calls again, at the full rate."""
        self._problem = None
        self._misses, self._last_refusal, self._gate = 0, "", Gate()
        self._streak.end()
        self._slots.limit = float(self._slots.most)
        self._wake()
        self._on_change()

    async def call(self, request: ChatRequest) -> Outcome:
        """The request's outcome, however long that takes. Raises LaneDown while the lane is."""
        tries: Tries | None = None
        while True:
            if not self._enter_at_once():
                await self._enter()
            started = self._clock()
            try:
                completion = await self.engine.complete(request)
            except Transient as error:
                wait = self._missed(error, tries := tries or Tries(), started)
                if error.broken and (down := self._alike(NO_ANSWER, clean(error.detail))):
                    raise down from error
            except Rejected as error:
                return self._rejected(error, started)
            except Unusable as error:
                raise self._go_down(_reason(error), error.detail) from error
            except Exception as error:  # noqa: BLE001 - a plugin that breaks its promise
                return self._broke(error, started)
            else:
                return self._succeeded(completion, started)
            finally:
                self._leave()
            if tries.at_fault:
                return self._no_answer(started)
            await (self._refused if tries.refused else self._resting).rest(wait)

    def _enter_at_once(self) -> bool:
        if self._problem is not None or self._gate.until or not self._slots.take():
            return False
        if self._permits is None or self._permits.take():
            return True
        self._slots.release()
        return False

    async def _enter(self) -> None:
        """Wait for a slot and a permit, and until the lane is not held back."""
        while True:
            if self._problem is not None:
                raise LaneDown(self._problem)
            if not self._slots.take() and not await self._slots.wait():
                continue
            await self._permitted()
            wait = self._gate.wait(self._clock()) if self._problem is None else 0.0
            if self._problem is None and not wait:
                return
            self._leave()
            if wait:
                await self._held.rest(wait * (1.0 + 0.1 * self._random()))

    async def _permitted(self) -> None:
        if self._permits is None or self._permits.take():
            return
        self._permitless += 1
        try:
            await self._permits.acquire()
        except BaseException:
            self._slots.release()
            raise
        finally:
            self._permitless -= 1

    def _leave(self) -> None:
        if self._permits is not None:
            self._permits.release()
        self._slots.release()

    def _succeeded(self, completion: Completion, started: float) -> Outcome:
        self._successes += 1
        self._streak.end()
        self._answered(started)
        self._slots.grow()
        text, model = clean(completion.text), clean(completion.model)
        if text is not completion.text or model is not completion.model:
            completion = replace(completion, text=text, model=model)
        return Outcome(completion, None, self._ms(started), completion.usage, model, text)

    def _rejected(self, error: Rejected, started: float) -> Outcome:
        self._answered(started)
        detail = clean(error.detail)
        if down := self._alike(error.reason, detail):
            raise down from error
        failure, ms = Failure(reason=error.reason, detail=detail), self._ms(started)
        return Outcome(None, failure, ms, error.usage, clean(error.model), clean(error.raw))

    def _alike(self, reason: str, detail: str) -> LaneDown | None:
        """Count a failure; what to raise if the lane is down, or goes down by it."""
        if self._problem is None and not self._streak.add(reason, detail):
            return None
        said = f"{LONGEST} calls in succession failed alike, the last: {detail}"
        return self._go_down(STREAK, said)

    def _broke(self, error: Exception, started: float) -> Outcome:
        """What an engine raises beyond its three failures is its own bug: the worker goes on."""
        _log.error("the engine failed in its own code", exc_info=error)
        said = one_line(f"a bug in the engine: {error!r}")
        return self._rejected(Rejected(REJECTED, said), started)

    def _no_answer(self, started: float) -> Outcome:
        said = f"{PATIENCE} times, while other calls succeeded: {self._last_miss}"
        failure = Failure(reason=NO_ANSWER, detail=said)
        return Outcome(None, failure, self._ms(started), Usage(), "", "")

    def _missed(self, error: Transient, tries: Tries, started: float) -> float:
        """Note a Transient failure; seconds for this request to rest."""
        tries.failures, tries.refused = tries.failures + 1, error.rate_limited
        self.retries.note(error)
        wait = error.retry_after.total_seconds() if error.retry_after else 0.0
        if error.rate_limited:
            self._last_refusal = clean(error.detail)
            self._gate.refused(self._clock(), wait, self.busy)
            self._slots.shrink()
        else:
            self._misses, self._last_miss = self._misses + 1, clean(error.detail)
            tries.blame(self._successes)
        self._tell()
        return wait or tries.backoff_s(self._random())

    def _answered(self, started: float) -> None:
        """The server works: forget what was missed, and lift the hold if it works again."""
        self._misses = 0
        if self._gate.answered(started):
            self._held.wake()
        if self._told:
            self._tell()

    def _tell(self) -> None:
        """Call `on_change` if there is something to be said, or no more, or during a probe."""
        told, self._told = self._told, bool(self.detail)
        if told != self._told or self._probing:
            self._on_change()

    def _go_down(self, reason: str, detail: str) -> LaneDown:
        """Pause the lane, unless it is down already; what to raise."""
        if self._problem is None:
            self._problem = LaneProblem(reason=reason, detail=clean(detail))
            _log.error("lane paused: %s", self._problem.detail)
            self._wake()
            self._on_change()
        return LaneDown(self._problem)

    async def _probe(self, params: Params, tries: Tries) -> float | None:
        """Probe once; seconds until the next try, None if there is none to be."""
        try:
            await self.engine.probe(params)
        except Transient as error:
            return self._missed(error, tries, self._clock())
        except EngineError as error:
            self._go_down(_reason(error), error.detail)
        return None

    def _wake(self) -> None:
        """Have all who wait look again: the lane went down, or was cleared."""
        for rests in (self._resting, self._refused, self._held):
            rests.wake()
        self._slots.send_away()

    def _ms(self, started: float) -> int:
        return round((self._clock() - started) * 1000)


def _reason(error: EngineError) -> str:
    return ENGINE_DIED if isinstance(error, EngineDied) else UNUSABLE

"""What a lane gets out of a server that refuses calls, in virtual time: nobody really waits."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from itertools import count
from math import ceil
from random import Random
from typing import Any, ClassVar, TypeVar

import pytest

from prefmill.contracts.chat import Message, Params, Usage
from prefmill.engines.caller import LaneCaller
from prefmill.plugins.engine import ChatRequest, Completion, EngineOptions
from prefmill.plugins.errors import Transient

SLOTS = 64
LATENCY_S = 0.15
BEST = SLOTS / LATENCY_S
"""Calls a second that the slots allow."""

DONE = Completion(text="ok", finish_reason="stop", model="m-1", usage=Usage())

T = TypeVar("T")

Limit = Callable[[float], float | None]
"""Given the time of a call: None if it is admitted, else the seconds it is told to wait, 0 if it is
told nothing."""


class Skipping(selectors.DefaultSelector):
    """Instead of waiting, lets the time pass at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing will ever happen again"
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose time is that of its timers."""

    def __init__(self) -> None:
        self._skipping = Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


class Limited:
    """An engine whose server refuses at once what its limit does not admit. It notes when calls
    came in, and fails a call that comes again before its time."""

    Options: ClassVar[type[EngineOptions]] = EngineOptions
    paid = False

    def __init__(self, limit: Limit, latency_s: float = LATENCY_S) -> None:
        self.limit = limit
        self.latency_s = latency_s
        self.clock = asyncio.get_running_loop().time
        self.chance = Random(1)
        self.came: list[float] = []
        self.refused = 0
        self.answered = 0
        self.not_before: dict[int, float] = {}

    def missing(self) -> str | None:
        return None

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def probe(self, params: Params) -> None:
        pass

    async def complete(self, request: ChatRequest) -> Completion:
        now = self.clock()
        self.came.append(now)
        assert now >= self.not_before.get(request.seed, 0.0), "it came again before its time"
        wait_s = self.limit(now)
        if wait_s is not None:
            self.refused += 1
            self.not_before[request.seed] = now + wait_s
            await asyncio.sleep(0.002)
            raise Transient("429", timedelta(seconds=wait_s) or None, rate_limited=True)
        await asyncio.sleep(self.latency_s * (0.7 + 0.6 * self.chance.random()))
        self.answered += 1
        return DONE

    @property
    def share(self) -> float:
        """Of the calls, those that were refused."""
        return self.refused / len(self.came)


def stray(share: float, wait_s: float) -> Limit:
    chance = Random(3)
    return lambda _: wait_s if chance.random() < share else None


def bucket(rate: float, size: float, wait_s: float) -> Limit:
    """So many a second; `size` of them may be saved up."""
    filled = [size, 0.0]

    def admit(now: float) -> float | None:
        filled[:] = min(size, filled[0] + (now - filled[1]) * rate), now
        if filled[0] < 1:
            return wait_s
        filled[0] -= 1
        return None

    return admit


def window(calls: int, seconds: float, told: Callable[[float], float]) -> Limit:
    """So many in each stretch of time; the wait is told from what is left of it."""
    seen = [-1, 0]

    def admit(now: float) -> float | None:
        number = int(now / seconds)
        seen[:] = [number, seen[1] + 1 if number == seen[0] else 1]
        return None if seen[1] <= calls else told((number + 1) * seconds - now)

    return admit


def untold(_: float) -> float:
    return 0.0


def ask(seed: int) -> ChatRequest:
    return ChatRequest((Message(role="user", content="Hi"),), Params(), seed)


def caller_of(engine: Limited, slots: int = SLOTS) -> LaneCaller:
    plugin: Any = engine
    return LaneCaller(plugin, concurrency=slots, clock=engine.clock, random=Random(2).random)


async def worked(limit: Limit, seconds: float, begins: tuple[float, ...] = (0.0,)) -> list[Limited]:
    """Engines that a lane each with work enough has called for so long, from its begin."""
    engines, seeds = [Limited(limit) for _ in begins], count()

    async def work(caller: LaneCaller, begin: float) -> None:
        await asyncio.sleep(begin)
        while True:
            await caller.call(ask(next(seeds)))

    callers = zip(map(caller_of, engines), begins, strict=True)
    workers = [asyncio.create_task(work(*one)) for one in callers for _ in range(2 * SLOTS)]
    done, _ = await asyncio.wait(workers, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    assert not done, "nobody ends by itself"
    for worker in workers:
        worker.cancel()
    return engines


def in_virtual_time(made: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(made())


@pytest.mark.parametrize("wait_s", [1, 0])
def test_a_lane_of_which_each_twentieth_call_is_refused_answers_nearly_as_many(
    wait_s: float,
) -> None:
    (engine,) = in_virtual_time(partial(worked, stray(0.05, wait_s), 15))
    assert engine.answered > 0.9 * BEST * 15


@pytest.mark.parametrize(
    "limit",
    [
        lambda: bucket(100, size=100, wait_s=1),
        lambda: bucket(100, size=10, wait_s=1),
        lambda: bucket(100, size=10, wait_s=0),
        lambda: window(100, 1, told=ceil),
        lambda: window(100, 1, told=float),
        lambda: window(100, 1, told=untold),
    ],
)
def test_a_server_s_own_rate_is_reached_with_few_calls_refused(limit: Callable[[], Limit]) -> None:
    (engine,) = in_virtual_time(partial(worked, limit(), 40))
    assert engine.answered > 0.85 * 100 * 40
    assert engine.share < 0.15


@pytest.mark.parametrize("told", [ceil, untold])
def test_so_many_calls_a_minute_are_made_and_hardly_more(told: Callable[[float], float]) -> None:
    (engine,) = in_virtual_time(partial(worked, window(600, 60, told), 240))
    assert engine.answered > 0.95 * 600 * 4
    assert engine.share < 0.05


@pytest.mark.parametrize("wait_s", [20, 0])
def test_a_server_that_refuses_everything_is_not_stormed(wait_s: float) -> None:
    (engine,) = in_virtual_time(partial(worked, stray(1.0, wait_s), 600))
    assert len(engine.came) < 3 * SLOTS
    last_minutes = [when for when in engine.came if when > 300]
    assert len(last_minutes) < 60


def test_lanes_that_share_a_server_s_rate_come_to_similar_parts_of_it() -> None:
    share = partial(worked, bucket(100, size=100, wait_s=1), 90, begins=(0.0, 5.0))
    first, second = in_virtual_time(share)
    assert first.answered + second.answered > 0.95 * 100 * 90
    lately = [sum(when > 45 for when in engine.came) for engine in (first, second)]
    assert min(lately) > 0.5 * max(lately)


async def asked_until(until: float, calls: int, slots: int) -> list[float]:
    """When a lane calls a server that refuses all until then, naming 20 s."""
    engine = Limited(lambda now: 20 if now < until else None)
    caller = caller_of(engine, slots)
    await asyncio.gather(*(caller.call(ask(seed)) for seed in range(calls)))
    return engine.came


@pytest.mark.parametrize("slots", [1, 8])
def test_calls_in_flight_together_are_refused_together_and_one_more_tries(slots: int) -> None:
    came = in_virtual_time(partial(asked_until, 10.0, 30, slots))
    assert sum(when < 20.0 for when in came) == slots + 1


async def stray_among(calls: int) -> tuple[Limited, LaneCaller]:
    """All calls of a lane, of which the twentieth is told to wait a minute."""
    numbers = count(1)
    engine = Limited(lambda _: 60 if next(numbers) == 20 else None)
    caller = caller_of(engine, slots=4)
    await asyncio.gather(*(caller.call(ask(seed)) for seed in range(calls)))
    return engine, caller


def test_one_refused_call_waits_alone_and_is_answered_last() -> None:
    engine, caller = in_virtual_time(partial(stray_among, 100))
    assert engine.answered == 100
    *others, last = engine.came
    assert max(others) < 60 < last
    assert caller.retries == {"rate-limited": 1}


async def refused_and_waiting() -> list[int]:
    engine = Limited(stray(1.0, 60))
    caller = caller_of(engine, slots=4)
    calls = [asyncio.create_task(caller.call(ask(seed))) for seed in range(4)]
    waiting = [caller.refused]
    await asyncio.sleep(1)
    waiting.append(caller.refused)
    engine.limit = stray(0.0, 0)
    await asyncio.gather(*calls)
    return [*waiting, caller.refused]


def test_a_caller_tells_how_many_of_its_calls_were_refused_and_wait() -> None:
    assert in_virtual_time(refused_and_waiting) == [0, 4, 0]

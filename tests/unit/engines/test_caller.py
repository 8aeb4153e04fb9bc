"""The call layer: what waits, what fails, what takes a lane down."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from random import Random
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.chat import Message, Params, Usage
from prefmill.contracts.reasons import EMPTY, NO_ANSWER, REJECTED, STREAK, UNUSABLE
from prefmill.engines.caller import LaneCaller, LaneDown, Outcome
from prefmill.engines.gate import Gate
from prefmill.engines.permits import Permits
from prefmill.engines.slots import Slots
from prefmill.engines.tries import Tries
from prefmill.plugins.engine import ChatRequest, Completion, EngineOptions
from prefmill.plugins.errors import EngineError, Rejected, Transient, Unusable

PAID = Usage(input_tokens=4, output_tokens=2)
DONE = Completion(text="ok", finish_reason="stop", model="m-1", usage=PAID)
Script = Callable[[int], Awaitable[Completion]]


class Played:
    """An engine that plays a script: request seed → completion or failure."""

    Options: ClassVar[type[EngineOptions]] = EngineOptions
    paid = False

    def __init__(self, script: Script, probes: Iterator[EngineError | None] | None = None) -> None:
        self.script = script
        self.probes = probes or iter(())
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0

    def missing(self) -> str | None:
        return None

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def probe(self, params: Params) -> None:
        error = next(self.probes, None)
        if error is not None:
            raise error

    async def complete(self, request: ChatRequest) -> Completion:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.script(request.seed)
        finally:
            self.at_once -= 1


class Clock:
    """Time that passes only when somebody sleeps, one at a time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def lane(engine: Played, clock: Clock | None = None, **options: object) -> LaneCaller:
    clock = clock or Clock()
    defaults = {"concurrency": 4, "clock": clock, "sleep": clock.sleep, "random": lambda: 1.0}
    return LaneCaller(engine, **(defaults | options))  # type: ignore[arg-type]


def ask(seed: int = 0) -> ChatRequest:
    return ChatRequest((Message(role="user", content="Hi"),), Params(), seed)


def playing(*steps: Completion | EngineError) -> Script:
    """Each call takes the next step; the last one stays."""
    left = list(steps)

    async def play(_: int) -> Completion:
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, Completion):
            return step
        raise step

    return play


async def test_a_completion_is_an_outcome_with_its_latency() -> None:
    clock = Clock()

    async def slow(_: int) -> Completion:
        clock.now += 0.25
        return DONE

    outcome = await lane(Played(slow), clock).call(ask())
    assert outcome == Outcome(DONE, None, 250, PAID, "m-1", "ok")


async def test_what_cannot_be_stored_is_replaced_here() -> None:
    odd = Completion(text="a\0b\ud800", finish_reason="stop", model="m\0", usage=PAID)
    empty = Rejected(EMPTY, "no\0thing", usage=PAID, model="m-1", raw="\udc00")
    caller = lane(Played(playing(odd, empty)))
    outcome = await caller.call(ask())
    assert outcome.completion is not None
    assert (outcome.completion.text, outcome.raw, outcome.model) == (
        "a\ufffdb\ufffd", "a\ufffdb\ufffd", "m\ufffd")  # fmt: skip
    failed = await caller.call(ask())
    assert failed.failure is not None
    assert (failed.failure.detail, failed.raw) == ("no\ufffdthing", "\ufffd")


async def test_a_rejection_is_a_failure_with_what_was_paid_and_is_not_tried_again() -> None:
    engine = Played(playing(Rejected(EMPTY, "nothing", usage=PAID, model="m-1", raw=" ")))
    outcome = await lane(engine).call(ask())
    assert outcome.completion is None
    assert outcome.failure is not None
    assert (outcome.failure.reason, outcome.usage, outcome.model, outcome.raw) == (
        EMPTY, PAID, "m-1", " ")  # fmt: skip
    assert engine.calls == 1


async def test_what_is_transient_is_waited_out_however_often() -> None:
    clock = Clock()
    engine = Played(playing(*[Transient("lost")] * 60, DONE))
    assert (await lane(engine, clock).call(ask())).completion == DONE
    assert engine.calls == 61
    assert clock.slept[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert max(clock.slept) == 30


async def test_calls_that_are_made_again_are_counted_by_reason_the_probe_s_too() -> None:
    busy, lost = Transient("busy", rate_limited=True), Transient("lost")
    caller = lane(Played(playing(busy, lost, busy, DONE), probes=iter((lost, None))))
    await caller.open(Params())
    assert (await caller.call(ask())).completion == DONE
    assert caller.retries == {"rate-limited": 2, "outage": 2}


async def test_a_wait_that_the_server_names_is_kept() -> None:
    clock = Clock()
    busy = Transient("busy", timedelta(seconds=7))
    await lane(Played(playing(busy, DONE)), clock).call(ask())
    assert clock.slept == [7]


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_a_backoff_is_never_longer_than_half_a_minute(failures: int, chance: float) -> None:
    assert 0 <= Tries(failures).backoff_s(chance) <= 30


async def test_a_stray_429_holds_back_nobody_but_its_own_call() -> None:
    clock = Clock()
    started: list[tuple[int, float]] = []
    changes: list[str] = []

    async def stray(seed: int) -> Completion:
        started.append((seed, clock.now))
        if len(started) == 1:
            raise Transient("429", timedelta(seconds=2), rate_limited=True)
        return DONE

    gate = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await gate.wait()
        clock.now += seconds

    caller = lane(Played(stray), clock, sleep=sleep, on_change=lambda: changes.append("changed"))
    first = asyncio.create_task(caller.call(ask(0)))
    await asyncio.sleep(0)
    for seed in range(1, 40):
        assert (await caller.call(ask(seed))).completion == DONE
    assert {when for _, when in started} == {100.0}
    assert changes == []
    gate.set()
    await first
    assert started[-1] == (0, 102.0)


async def test_a_lane_that_is_told_to_wait_for_long_says_so_and_recovers() -> None:
    clock, gate = Clock(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        await gate.wait()
        clock.now += seconds

    full = Transient("429 slow", timedelta(seconds=60), rate_limited=True)
    caller = lane(Played(playing(full, DONE)), clock, sleep=sleep)
    call = asyncio.create_task(caller.call(ask()))
    await asyncio.sleep(0)
    assert caller.detail == ""
    clock.now += 10
    assert caller.detail == "rate limited: the server asks to wait, 50 s more; 429 slow"
    assert caller.health == "ready"
    assert caller.busy == 0
    gate.set()
    await call
    assert caller.detail == ""


async def test_a_lane_whose_calls_are_all_refused_says_that_it_is_rate_limited() -> None:
    details: list[str] = []
    engine = Played(playing(*[Transient("h: 429", rate_limited=True)] * 30, DONE))
    caller = lane(engine, on_change=lambda: details.append(caller.detail))
    await caller.call(ask())
    assert details == ["rate limited: backing off, 5 of the last 5 calls were refused; h: 429"]
    said = "rate limited: backing off, 30 of the last 31 calls were refused; h: 429"
    assert caller.detail == said
    for seed in range(150):
        await caller.call(ask(seed))
    assert details[1:] == [caller.detail] == [""]


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "told"), [(0.05, False), (0.6, True)])
@pytest.mark.parametrize(("concurrency", "wait_s"), [(64, 1), (64, 0), (4, 0)])
async def test_a_lane_that_gets_on_despite_a_few_refusals_says_nothing_of_them(
    rate: float, told: bool, concurrency: int, wait_s: int
) -> None:
    clock, chance, said = Clock(), Random(3), set[str]()

    async def mostly(_: int) -> Completion:
        if chance.random() < rate:
            raise Transient("429", timedelta(seconds=wait_s) or None, rate_limited=True)
        for _ in range(10 + chance.randrange(10)):  # a refusal is quick, an answer is not
            await asyncio.sleep(0)
            said.add(caller.detail.partition(":")[0])
        return DONE

    caller = lane(Played(mostly), clock, concurrency=concurrency)
    await asyncio.gather(*(caller.call(ask(seed)) for seed in range(1000)))
    assert ("rate limited" in said) == told
    assert "waiting" not in said


@pytest.mark.parametrize("error", [Transient("500"), Transient("429", rate_limited=True)])
async def test_calls_that_fail_at_once_while_many_are_in_flight_are_no_outage_yet(
    error: Transient,
) -> None:
    answer = asyncio.Event()

    async def unlucky(seed: int) -> Completion:
        if seed < 6:
            raise error
        await answer.wait()
        return DONE

    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    caller = lane(Played(unlucky), concurrency=64, sleep=forever)
    calls = [asyncio.create_task(caller.call(ask(seed))) for seed in range(30)]
    await asyncio.sleep(0)
    assert (caller.busy, caller.detail) == (24, "")
    answer.set()
    await asyncio.gather(*calls[6:])
    for call in calls[:6]:
        call.cancel()


@pytest.mark.parametrize("wait_s", [2.0, 0.0])
def test_a_gate_tells_a_stray_refusal_from_a_full_server(wait_s: float) -> None:
    gate = Gate()
    for _ in range(100):
        for _ in range(19):
            gate.answered(0.0)
        gate.refused(0.0, wait_s, busy=8)
        assert gate.until == 0.0
    for _ in range(8):
        gate.refused(0.0, wait_s, busy=8)
    assert gate.until > 0.0
    assert [gate.wait(0.0) > 0.0 for _ in range(3)] == [False, True, True], "one tries"
    assert gate.answered(0.0)
    assert gate.wait(0.0) == 0.0


def test_a_gate_holds_twice_as_long_each_time_where_the_server_names_no_wait() -> None:
    gate, now, held = Gate(), 0.0, list[float]()
    for _ in range(8):
        gate.refused(now, 0.0, busy=1)
    for _ in range(8):
        gate.refused(now, 0.0, busy=1)
        held.append(gate.until - now)
        now = gate.until
    assert held == [0.25, 0.5, 1, 2, 4, 8, 16, 30]
    assert gate.answered(now)
    gate.refused(now, 0.0, busy=1)
    assert gate.until == now + 0.25


def test_a_hold_that_the_server_did_not_ask_for_ends_with_one_call_that_tries() -> None:
    gate = Gate()
    for _ in range(9):
        gate.refused(0.0, 0.0, busy=1)
    assert [gate.wait(0.0) for _ in range(2)] == [0.0, 0.25]
    assert [gate.wait(1.0) for _ in range(2)] == [0.0, 0.5], "one more tries"
    assert gate.answered(1.0)
    assert [gate.wait(1.1) for _ in range(2)] == [0.0, 0.0]


def test_a_hold_that_the_server_asked_for_ends_for_all() -> None:
    gate = Gate()
    gate.refused(0.0, 20.0, busy=4)
    assert [gate.wait(0.0) for _ in range(2)] == [0.0, 20.0]
    assert [gate.wait(20.0) for _ in range(2)] == [0.0, 0.0]


def test_a_server_that_refuses_the_only_call_in_flight_is_taken_at_its_word() -> None:
    gate = Gate()
    for _ in range(20):
        gate.answered(0.0)
    gate.refused(0.0, 60.0, busy=2)
    assert gate.said(10.0, busy=1) == ""
    gate.refused(0.0, 60.0, busy=1)
    assert gate.said(10.0, busy=0) == "the server asks to wait, 50 s more"


async def test_a_server_that_is_full_is_sent_fewer_calls_at_once_until_it_recovers() -> None:
    clock = Clock()
    full = True

    async def crowded(_: int) -> Completion:
        await asyncio.sleep(0)
        if full and engine.at_once > 2:
            raise Transient("429", rate_limited=True)
        return DONE

    engine = Played(crowded)
    caller = lane(engine, clock, concurrency=16)
    await asyncio.gather(*(caller.call(ask(seed)) for seed in range(200)))
    assert engine.most_at_once == 16
    engine.most_at_once = 0
    await asyncio.gather(*(caller.call(ask(seed)) for seed in range(30)))
    assert engine.most_at_once < 8
    full = False
    await asyncio.gather(*(caller.call(ask(seed)) for seed in range(400)))
    assert engine.most_at_once == 16


async def test_a_request_that_fails_while_others_succeed_is_itself_at_fault() -> None:
    clock = Clock()

    async def poison(seed: int) -> Completion:
        if seed == 13:
            raise Transient("time-out")
        return DONE

    engine = Played(poison)

    async def others_meanwhile(seconds: float) -> None:
        clock.now += seconds
        await caller.call(ask(1))

    caller = lane(engine, clock, sleep=others_meanwhile)
    outcome = await caller.call(ask(13))
    assert outcome.failure is not None
    assert outcome.failure.reason == NO_ANSWER
    assert "5 times, while other calls succeeded: time-out" in outcome.failure.detail
    assert engine.calls == 5 + 4


async def test_nobody_is_at_fault_while_no_other_call_succeeds() -> None:
    engine = Played(playing(*[Transient("500")] * 40, DONE))
    assert (await lane(engine).call(ask())).completion == DONE


async def test_a_rate_limit_is_never_a_requests_own_fault() -> None:
    clock, limited = Clock(), 0

    async def script(seed: int) -> Completion:
        nonlocal limited
        if seed == 13 and limited < 30:
            limited += 1
            raise Transient("429", rate_limited=True)
        return DONE

    engine = Played(script)

    async def others_meanwhile(seconds: float) -> None:
        clock.now += seconds
        await caller.call(ask(1))

    caller = lane(engine, clock, sleep=others_meanwhile)
    assert (await caller.call(ask(13))).completion == DONE


async def test_an_unusable_engine_takes_the_lane_down_at_once_for_all_who_wait() -> None:
    going = asyncio.Event()
    changes: list[str] = []

    async def wrong_key(_: int) -> Completion:
        await going.wait()
        raise Unusable("401: is the key right?")

    engine = Played(wrong_key)
    caller = lane(engine, concurrency=2, on_change=lambda: changes.append(caller.health))
    calls = [asyncio.create_task(caller.call(ask(seed))) for seed in range(10)]
    await asyncio.sleep(0)
    going.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, LaneDown) for outcome in outcomes)
    assert engine.calls == 2
    assert changes == ["unusable"]
    assert caller.problem is not None
    assert (caller.problem.reason, caller.detail) == (UNUSABLE, "401: is the key right?")
    assert caller.busy == 0


async def test_a_lane_that_goes_down_wakes_the_calls_that_rest() -> None:
    async def script(seed: int) -> Completion:
        raise Transient("lost") if seed == 0 else Unusable("gone")

    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    caller = lane(Played(script), sleep=forever)
    resting = asyncio.create_task(caller.call(ask(0)))
    await asyncio.sleep(0)
    with pytest.raises(LaneDown):
        await caller.call(ask(1))
    with pytest.raises(LaneDown, match="gone"):
        await resting


async def test_twenty_alike_in_succession_take_the_lane_down_and_the_twentieth_is_not_counted() -> (
    None
):
    errors = [Rejected(REJECTED, f"400 bad request number {n}") for n in range(20)]
    caller = lane(Played(playing(*errors)))
    failures = [(await caller.call(ask(n))).failure for n in range(19)]
    assert all(failure is not None and failure.reason == REJECTED for failure in failures)
    with pytest.raises(LaneDown) as caught:
        await caller.call(ask(19))
    assert caught.value.problem.reason == STREAK
    assert "20 calls in succession failed alike, the last: 400 bad" in caught.value.problem.detail
    with pytest.raises(LaneDown):
        await caller.call(ask(20))


async def test_a_success_between_keeps_the_lane_up() -> None:
    async def mostly(seed: int) -> Completion:
        if seed % 20:
            raise Rejected(REJECTED, "400 bad")
        return DONE

    caller = lane(Played(mostly))
    for seed in range(100):
        await caller.call(ask(seed))
    assert caller.health == "ready"


async def test_a_success_that_comes_in_when_the_lane_is_down_is_not_thrown_away() -> None:
    late = asyncio.Event()

    async def script(seed: int) -> Completion:
        if seed == 0:
            await late.wait()
            return DONE
        raise Unusable("gone")

    caller = lane(Played(script))
    paid = asyncio.create_task(caller.call(ask(0)))
    await asyncio.sleep(0)
    with pytest.raises(LaneDown):
        await caller.call(ask(1))
    late.set()
    assert (await paid).completion == DONE
    assert caller.health == "unusable"


async def test_a_cleared_lane_takes_calls_again_at_the_full_rate() -> None:
    caller = lane(Played(playing(Transient("429", rate_limited=True), Unusable("gone"), DONE)))
    with pytest.raises(LaneDown):
        await caller.call(ask())
    caller.clear()
    assert (caller.health, caller.detail, caller.problem) == ("ready", "", None)
    assert (await caller.call(ask())).completion == DONE


async def test_a_lane_opens_when_its_probe_passes_however_long_that_takes() -> None:
    seen: list[tuple[str, str]] = []
    engine = Played(playing(DONE), iter([Transient("cannot connect"), Transient("cannot connect")]))
    caller = lane(engine, on_change=lambda: seen.append((caller.health, caller.detail)))
    assert await caller.open(Params()) is None
    assert seen[0] == ("probing", "")
    assert ("probing", "waiting: cannot connect") in seen
    assert seen[-1] == ("ready", "")


@pytest.mark.parametrize("error", [Unusable("401 wrong key"), Rejected(REJECTED, "401 wrong key")])
async def test_a_lane_whose_probe_fails_is_down_until_it_is_opened_again(
    error: EngineError,
) -> None:
    caller = lane(Played(playing(DONE), iter([error])))
    problem = await caller.open(Params())
    assert problem is not None
    assert (problem.reason, problem.detail) == (UNUSABLE, "401 wrong key")
    assert caller.health == "unusable"
    assert await caller.open(Params()) is None
    assert (await caller.call(ask())).completion == DONE


async def test_a_lane_without_an_answer_says_how_long_it_has_been_waiting() -> None:
    details: list[str] = []
    engine = Played(playing(*[Transient("h: time-out")] * 20, DONE))
    caller = lane(engine, on_change=lambda: details.append(caller.detail))
    await caller.call(ask())
    assert details == ["waiting: 5 failures in succession, the last: h: time-out", ""]


async def test_no_more_calls_are_in_flight_than_the_lane_may_have() -> None:
    async def slow(_: int) -> Completion:
        await asyncio.sleep(0)
        return DONE

    engine = Played(slow)
    caller = lane(engine, concurrency=5)
    await asyncio.gather(*(caller.call(ask(seed)) for seed in range(100)))
    assert engine.most_at_once == 5
    assert caller.busy == 0


async def test_a_cancelled_call_gives_its_slot_back_wherever_it_is() -> None:
    async def hang(_: int) -> Completion:
        await asyncio.Event().wait()
        return DONE

    engine = Played(hang)
    caller = lane(engine, concurrency=2)
    calls = [asyncio.create_task(caller.call(ask(seed))) for seed in range(6)]
    await asyncio.sleep(0)
    assert caller.busy == 2
    for call in (calls[5], calls[0], calls[2], calls[1], calls[3], calls[4]):
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert caller.busy == 0
    engine.script = playing(DONE)
    assert (await caller.call(ask())).completion == DONE


async def test_a_bug_in_an_engine_fails_the_request_and_not_the_worker() -> None:
    async def broken(_: int) -> Completion:
        return {}["missing"]

    outcome = await lane(Played(broken)).call(ask())
    assert outcome.failure is not None
    assert outcome.failure.reason == REJECTED
    assert "a bug in the engine: KeyError('missing')" in outcome.failure.detail


@given(st.lists(st.sampled_from(["take", "release", "shrink", "grow"]), max_size=60))
def test_slots_are_never_more_than_the_most_nor_less_than_one(steps: list[str]) -> None:
    slots, taken = Slots(8), 0
    for step in steps:
        if step == "take":
            taken += slots.take()
        elif step == "release" and taken:
            slots.release()
            taken -= 1
        elif step == "shrink":
            slots.shrink()
        elif step == "grow":
            slots.grow()
        assert slots.busy == taken <= 8
        assert 1 <= slots.limit <= 8


def test_eight_successes_make_up_for_a_refusal_and_fewer_where_few_slots_are_left() -> None:
    slots = Slots(1000)
    slots.shrink()
    for _ in range(8):
        slots.grow()
    assert slots.limit == 1000
    for _ in range(1002):
        slots.shrink()
    assert slots.limit == 1
    for _ in range(4):
        slots.grow()
    assert slots.limit > 2
    for _ in range(8000):
        slots.grow()
    assert slots.limit == 1000


async def test_twenty_broken_answers_alike_take_the_lane_down_and_lost_connections_never_do() -> (
    None
):
    pages = [Transient("m at h: it answered with a web page", broken=True) for _ in range(20)]
    with pytest.raises(LaneDown) as caught:
        await lane(Played(playing(*pages))).call(ask(0))
    assert "failed alike, the last: m at h: it answered with a web page" in str(caught.value)
    lost = [Transient("m at h: connection lost") for _ in range(40)]
    assert (await lane(Played(playing(*lost, DONE))).call(ask(0))).completion == DONE


async def test_lanes_that_share_a_limit_each_count_their_own_calls_in_flight() -> None:
    answer = asyncio.Event()

    async def slow(_: int) -> Completion:
        await answer.wait()
        return DONE

    permits = Permits.create(4, 1).of(0)
    lanes = [lane(Played(slow), concurrency=64, permits=permits) for _ in range(2)]
    calls = [asyncio.create_task(caller.call(ask(n))) for n in range(3) for caller in lanes]
    await asyncio.sleep(0)
    assert [caller.busy for caller in lanes] == [2, 2]
    calls[-1].cancel()
    await asyncio.sleep(0)
    answer.set()
    await asyncio.gather(*calls[:-1])
    assert [caller.busy for caller in lanes] == [0, 0]
    permits.close()

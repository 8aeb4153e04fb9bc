"""Faults: named, rated, deterministic, and gone when the same is asked again."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from prefmill.contracts.chat import Message, Params
from prefmill.engines.simulated import SimulatedEngine, SimulatedOptions
from prefmill.engines.simulated.asked import Asked
from prefmill.engines.simulated.malformed import INJECTED
from prefmill.engines.simulated.quality import marker
from prefmill.engines.simulated.simulation import Outcome, Simulation
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import Rejected, Transient

JUDGED = "Aspect: helpfulness\n" + "\n".join(
    f"<text {n}>\nText of case {{}}. {marker(quality)}\n</text {n}>"
    for n, quality in enumerate((2, 4, 5), 1)
)
LOST = {form.name for form in INJECTED if form.outcome in ("lost", "unspoken")}


def simulation(**options: Any) -> Simulation:
    return Simulation(SimulatedOptions.model_validate({"model": "m", **options}))


def ordinary(case: int, seed: int | None = 1) -> Asked:
    return Asked("m", (("user", f"Case {case}."),), seed=seed)


def judging(case: int, seed: int | None = 1, turn: int = 0) -> Asked:
    """A judge's request; `turn` shows the texts in another order."""
    texts = [JUDGED.replace("{}", str(case)).partition(f"<text {n}>\n")[2] for n in (1, 2, 3)]
    texts = [text.partition("\n</text")[0] for text in texts]
    texts = texts[turn % 3 :] + texts[: turn % 3]
    shown = "\n".join(f"<text {n}>\n{text}\n</text {n}>" for n, text in enumerate(texts, 1))
    prompt = JUDGED.partition("<text 1>")[0] + shown
    return Asked("m", (("user", prompt),), seed=seed)


def attempt_at(case: int, attempt: int, seeded: bool) -> Asked:
    """As the line asks again: with another seed, or on a wire without seeds in another order."""
    return judging(case, attempt) if seeded else judging(case, None, attempt)


async def complete(fault: str, prompt: str = "Hello", **options: Any) -> Any:
    engine = SimulatedEngine(
        SimulatedOptions.model_validate({"faults": {fault: 1.0}, "timeout_s": 0.01, **options})
    )
    messages = (Message(role="user", content=prompt),)
    return await engine.complete(ChatRequest(messages, Params(), 1))


@pytest.mark.parametrize("fault", ["500", "503", "reset", "hang", "timeout", "html", "truncated"])
async def test_what_arrives_broken_is_transient(fault: str) -> None:
    with pytest.raises(Transient) as caught:
        await complete(fault)
    assert not caught.value.rate_limited
    assert caught.value.retry_after is None


async def test_a_429_is_transient_and_says_how_long_to_wait() -> None:
    with pytest.raises(Transient) as caught:
        await complete("429", retry_after_s=2)
    assert caught.value.rate_limited
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 2


async def test_an_empty_answer_is_rejected() -> None:
    with pytest.raises(Rejected) as caught:
        await complete("empty")
    assert caught.value.reason == "empty"


async def test_a_refusal_is_rejected_and_judges_never_refuse() -> None:
    engine = SimulatedEngine(SimulatedOptions(refusals=1.0))
    with pytest.raises(Rejected) as caught:
        await engine.complete(ChatRequest((Message(role="user", content="Hi"),), Params(), 1))
    assert caught.value.reason == "refused"
    judge = (Message(role="user", content=JUDGED),)
    assert "Rating" in (await engine.complete(ChatRequest(judge, Params(), 1))).text


async def test_a_named_form_is_written_as_named() -> None:
    answer = await complete("malformed:bold", JUDGED)
    assert "**Rating:** 2" in answer.text


async def test_malformed_leaves_ordinary_answers_alone() -> None:
    assert "quality" in (await complete("malformed")).text


def test_rates_are_kept() -> None:
    simulated = simulation(faults={"429": 0.1, "reset": 0.05, "empty": 0.02})
    seen = Counter(simulated.meet(ordinary(n)).fault for n in range(4000))
    assert 320 < seen["429"] < 480
    assert 140 < seen["reset"] < 260
    assert 40 < seen["empty"] < 120


def test_faults_are_the_same_in_another_process() -> None:
    faults = {"429": 0.2, "500": 0.1, "malformed": 0.3}
    one, other = simulation(faults=faults), simulation(faults=faults)
    assert [one.meet(judging(n)) for n in range(50)] == [other.meet(judging(n)) for n in range(50)]


def test_plain_malformed_uses_every_form_that_cannot_mislead() -> None:
    simulated = simulation(faults={"malformed": 1.0})
    seen = {simulated.meet(judging(n)).fault for n in range(3000)}
    assert seen == {f"malformed:{form.name}" for form in INJECTED}
    assert "malformed:half" not in seen


def test_a_request_sent_again_gets_through_faults_that_cost_nothing() -> None:
    simulated = simulation(faults={"429": 0.3, "reset": 0.2})
    for case in range(200):
        attempts = [simulated.meet(ordinary(case)).fault for _ in range(15)]
        assert "" in attempts


@pytest.mark.parametrize("seeded", [True, False])
def test_a_new_attempt_gets_through_a_verdict_that_cannot_be_read(seeded: bool) -> None:
    simulated = simulation(faults={"malformed": 0.4})
    for case in range(100):
        asked = [attempt_at(case, attempt, seeded) for attempt in range(15)]
        faults = [simulated.meet(each).fault.removeprefix("malformed:") for each in asked]
        assert any(fault not in LOST for fault in faults)


def settled(simulated: Simulation, case: int, seeded: bool) -> str:
    """The text that is stored in the end, by a client that resends and makes new attempts."""
    attempt = 0
    while attempt < 15:
        outcome = simulated.meet(attempt_at(case, attempt, seeded))
        if outcome.fault in ("429", "reset"):
            continue
        if outcome.fault.removeprefix("malformed:") not in LOST | {"empty"}:
            return outcome.text
        attempt += 1
    return ""


@pytest.mark.parametrize("seeded", [True, False])
def test_a_request_asked_twice_because_its_answer_was_lost_ends_the_same(seeded: bool) -> None:
    faults = {"429": 0.1, "reset": 0.1, "empty": 0.1, "malformed": 0.5}
    calm, disturbed = simulation(faults=faults), simulation(faults=faults)
    for case in range(300):
        disturbed.meet(attempt_at(case, 0, seeded))
        assert settled(disturbed, case, seeded) == settled(calm, case, seeded)


def test_latency_varies_by_jitter_and_depends_on_the_request() -> None:
    simulated = simulation(latency_ms=100, jitter=0.3)
    delays = [simulated.meet(ordinary(n)).delay_s for n in range(200)]
    assert 0.07 <= min(delays) < 0.08
    assert 0.12 < max(delays) <= 0.13
    assert delays == [simulated.meet(ordinary(n)).delay_s for n in range(200)]


async def test_the_engine_waits_for_its_latency() -> None:
    engine = SimulatedEngine(SimulatedOptions(latency_ms=30))
    request = ChatRequest((Message(role="user", content="Hi"),), Params(), 1)
    start = time.perf_counter()
    await asyncio.gather(*[engine.complete(request) for _ in range(20)])
    assert time.perf_counter() - start >= 0.03


def test_options_name_what_is_wrong() -> None:
    with pytest.raises(ValidationError, match="did you mean 'malformed:swapped'"):
        SimulatedOptions.model_validate({"faults": {"malformed:swaped": 0.1}})
    with pytest.raises(ValidationError, match="there are: 429, 500"):
        SimulatedOptions.model_validate({"faults": {"404": 0.1}})
    with pytest.raises(ValidationError, match="from 0 to 1"):
        SimulatedOptions.model_validate({"faults": {"reset": 5}})
    with pytest.raises(ValidationError, match="more than 1"):
        SimulatedOptions.model_validate({"faults": {"reset": 0.6, "429": 0.6}})


def test_numbers_as_yaml_reads_them_name_faults_too() -> None:
    options = SimulatedOptions.model_validate({"faults": {429: 0.1, "timeout": 0.2}})
    assert options.faults == {"429": 0.1, "hang": 0.2}


def test_faults_and_latency_are_no_part_of_what_determines_an_answer() -> None:
    plain = SimulatedOptions(model="m")
    hindered = SimulatedOptions(model="m", faults={"429": 0.5}, latency_ms=9, jitter=0.1)
    assert plain.identity() == hindered.identity()
    assert plain.identity() != SimulatedOptions(model="m", spread=0.5).identity()


def test_an_outcome_without_faults_keeps_nothing_of_the_request() -> None:
    first: Outcome = simulation().meet(ordinary(1))
    assert (first.arrival, first.fault) == (0, "")


async def test_the_engine_is_found_by_its_name_and_costs_nothing() -> None:
    from prefmill.plugins.registry import load

    engine = load("engines", "simulated")(SimulatedOptions())
    await engine.start()
    await engine.probe(Params())
    assert (engine.paid, engine.missing()) == (False, None)
    await engine.stop()

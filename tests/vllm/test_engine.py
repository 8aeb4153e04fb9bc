"""The engine `vllm` on the real engine: a tiny model with random weights."""

import asyncio
import json
import math
import os
import re
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from prefmill.contracts.chat import Message, Params
from prefmill.contracts.reasons import REJECTED, TOO_LONG
from prefmill.engines.vllm.cores import OURS, keep_off_workers, use_all_cores
from prefmill.engines.vllm.engine import VllmEngine
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import Rejected

SCHEMA = {
    "type": "object",
    "properties": {
        "rating": {"type": "integer", "minimum": 1, "maximum": 5},
        "kind": {"enum": ["good", "bad"]},
    },
    "required": ["rating", "kind"],
    "additionalProperties": False,
}


def ask(content: str = "the quick fox", seed: int = 1, **more: Any) -> ChatRequest:
    schema, logprobs = more.pop("schema", None), more.pop("logprobs", None)
    params = Params.model_validate({"max_tokens": 16, "temperature": 1.0, **more})
    return ChatRequest((Message(role="user", content=content),), params, seed, schema, logprobs)


async def text_of(engine: VllmEngine, request: ChatRequest) -> str:
    return (await engine.complete(request)).text


async def test_an_answer_tells_its_usage_finish_and_model(engine: VllmEngine) -> None:
    await engine.probe(Params())
    done = await engine.complete(ask(extra_body={"ignore_eos": True}))
    assert (done.usage.output_tokens, done.finish_reason) == (16, "length")
    assert done.usage.input_tokens > 3
    assert done.model.endswith("tiny")
    assert done.text.strip()


async def test_the_same_seed_gives_the_same_texts_also_in_another_company(
    engine: VllmEngine,
) -> None:
    alone = [await text_of(engine, ask(seed=seed)) for seed in range(4)]
    crowd = await asyncio.gather(*(text_of(engine, ask(seed=seed)) for seed in range(24)))
    assert crowd[:4] == alone
    assert len(set(crowd)) > 20


async def test_stop_strings_and_stop_tokens_end_an_answer(engine: VllmEngine) -> None:
    text = await text_of(engine, ask(max_tokens=64, extra_body={"ignore_eos": True}))
    middle = next(c for c in text[8:] if c.isascii() and c.isalnum() and c not in text[:8])
    stopped = await engine.complete(
        ask(max_tokens=64, stop=[middle], extra_body={"ignore_eos": True})
    )
    assert stopped.text == text[: text.index(middle)]
    assert stopped.finish_reason == "stop"
    some = {"stop_token_ids": list(range(6, 512, 2)), "min_tokens": 8, "ignore_eos": True}
    early = await engine.complete(ask(max_tokens=64, extra_body=some))
    assert 8 < early.usage.output_tokens < 24
    assert early.finish_reason == "stop"


async def test_an_answer_held_to_a_schema_always_parses(engine: VllmEngine) -> None:
    asked = [ask(seed=seed, schema=SCHEMA, max_tokens=100) for seed in range(12)]
    for text in await asyncio.gather(*(text_of(engine, one) for one in asked)):
        found = json.loads(text)
        assert found["rating"] in range(1, 6)
        assert found["kind"] in ("good", "bad")


async def test_answers_can_be_held_to_an_expression_or_a_choice(engine: VllmEngine) -> None:
    regex = {"structured_outputs": {"regex": "[a-c]{3}-[0-9]{2}"}}
    assert re.fullmatch("[a-c]{3}-[0-9]{2}", await text_of(engine, ask(extra_body=regex)))
    choice = {"guided_choice": ["yes", "no"]}
    assert await text_of(engine, ask(extra_body=choice)) in ("yes", "no")


async def test_logprobs_give_the_expectation_of_a_rating(engine: VllmEngine) -> None:
    held = {"structured_outputs": {"choice": ["1", "2", "3"]}}
    done = await engine.complete(ask(extra_body=held, logprobs=5))
    place = done.logprobs[0]
    assert place.token == done.text[0]
    assert place.logprob == pytest.approx(dict(place.top)[place.token])
    mass = {token: math.exp(logprob) for token, logprob in place.top if token in "123"}
    assert 1 <= sum(int(t) * p for t, p in mass.items()) / sum(mass.values()) <= 3
    assert (await engine.complete(ask())).logprobs == ()


async def test_a_prompt_too_long_is_refused_with_both_lengths(engine: VllmEngine) -> None:
    with pytest.raises(Rejected, match=r"max_tokens 9000, the model takes 8192") as refused:
        await engine.complete(ask(max_tokens=9000))
    assert refused.value.reason == TOO_LONG
    with pytest.raises(Rejected, match=r"the prompt has \d{5} tokens, .*takes 8192") as refused:
        await engine.complete(ask("fox and dog, " * 3000, max_tokens=None))
    assert refused.value.reason == TOO_LONG


async def test_an_unknown_parameter_names_the_nearest_known(engine: VllmEngine) -> None:
    with pytest.raises(Rejected, match=r"extra_body\.min_token: .*did you mean 'min_tokens'"):
        await engine.complete(ask(extra_body={"min_token": 3}))
    with pytest.raises(Rejected) as refused:
        await engine.complete(ask(extra_body={"structured_outputs": {"regex": "("}}))
    assert refused.value.reason == REJECTED
    assert await text_of(engine, ask())


async def test_a_cancelled_call_leaves_the_engine_working(engine: VllmEngine) -> None:
    long = asyncio.create_task(
        engine.complete(ask(max_tokens=400, extra_body={"ignore_eos": True}))
    )
    await text_of(engine, ask())
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    assert await text_of(engine, ask())


async def test_the_engine_says_how_many_calls_it_wants_and_shows_its_metrics(
    engine: VllmEngine,
) -> None:
    forced = {"ignore_eos": True}
    crowd = [ask(seed=n, max_tokens=16 + n % 48, extra_body=forced) for n in range(96)]
    seen: set[int] = set()

    async def one(request: ChatRequest) -> None:
        await engine.complete(request)
        seen.add(engine.wanted(1) or 0)

    await asyncio.gather(*map(one, crowd))
    assert max(seen) > 32
    assert max(seen) <= 64
    names = {family.name for family in engine.metrics().collect()}
    assert {"vllm:num_requests_running", "vllm:generation_tokens"} <= names
    assert all(name.startswith("vllm:") for name in names)


async def test_the_process_keeps_off_the_cores_that_its_workers_compute_on(
    engine: VllmEngine,
) -> None:
    await engine.complete(ask())
    keep_off_workers()
    left, here = os.sched_getaffinity(0), psutil.Process()
    use_all_cores()
    cores = [frozenset(child.cpu_affinity() or ()) for child in here.children(recursive=True)]
    bound = frozenset[int]().union(*(some for some in cores if some < OURS))
    assert bound or len(OURS) == 1
    assert left == OURS - bound


async def test_a_system_prompt_that_the_template_refuses_is_folded(engine: VllmEngine) -> None:
    system = Message(role="system", content="Be brief.")
    both = replace(ask(), messages=(system, *ask().messages))
    by_hand = ask("Be brief.\n\nthe quick fox")
    assert await engine.complete(both) == await engine.complete(by_hand)


async def test_a_crowd_of_long_prompts_with_seeds_does_not_end_the_engine(
    engine: VllmEngine,
) -> None:
    crowd = [ask(f"{n} and so on, " * 300, seed=n) for n in range(12)]
    texts = await asyncio.gather(*(text_of(engine, one) for one in crowd))
    assert len(texts) == 12

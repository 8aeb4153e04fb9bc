"""Simulated answers: deterministic, readable, and of a quality that can be read off them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.chat import Message, Params
from prefmill.engines.simulated import SimulatedEngine, SimulatedOptions, quality_of
from prefmill.engines.simulated.answer import topics_of, write_answer
from prefmill.engines.simulated.quality import marker
from prefmill.plugins.engine import ChatRequest, Completion

PROMPTS = [f"Tell me why rivers bend, and what number {n} has to do with it." for n in range(60)]


async def ask(
    prompt: str,
    model: str = "m",
    seed: int = 1,
    params: Params | None = None,
    **options: float | int,
) -> Completion:
    engine = SimulatedEngine(SimulatedOptions.model_validate({"model": model, **options}))
    messages = (Message(role="user", content=prompt),)
    return await engine.complete(ChatRequest(messages, params or Params(), seed))


async def test_the_same_request_gets_the_same_answer_from_another_engine() -> None:
    assert await ask(PROMPTS[0]) == await ask(PROMPTS[0])


@pytest.mark.parametrize(
    "changed",
    [{"prompt": "Other."}, {"model": "n"}, {"seed": 2}, {"params": Params(temperature=0.5)}],
)
async def test_whatever_changes_in_a_request_changes_the_answer(changed: dict[str, object]) -> None:
    other = await ask(**{"prompt": PROMPTS[0], **changed})  # pyright: ignore[reportArgumentType]
    assert other.text != (await ask(PROMPTS[0])).text


async def test_another_seed_of_the_engine_makes_another_world() -> None:
    assert (await ask(PROMPTS[0], seed=1)).text  # the request's own
    engine = SimulatedEngine(SimulatedOptions(model="m", seed=5))
    messages = (Message(role="user", content=PROMPTS[0]),)
    other = await engine.complete(ChatRequest(messages, Params(), 1))
    assert other.text != (await ask(PROMPTS[0])).text


async def test_an_answer_speaks_of_its_prompt_in_twenty_to_a_hundred_and_thirty_words() -> None:
    texts = [(await ask(prompt)).text for prompt in PROMPTS]
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) >= 20
    assert max(lengths) <= 145
    assert max(lengths) > 2 * min(lengths)
    assert all("rivers" in text or "bend" in text or "number" in text for text in texts)


async def test_ties_and_differences_between_two_models_are_both_common() -> None:
    pairs = [
        (quality_of((await ask(p, "alpha")).text), quality_of((await ask(p, "beta")).text))
        for p in PROMPTS
    ]
    ties = sum(a == b for a, b in pairs)
    assert 0.1 * len(pairs) < ties < 0.6 * len(pairs)


async def test_models_differ_in_how_good_they_are_on_average() -> None:
    means = [
        sum([quality_of((await ask(p, f"model-{m}")).text) for p in PROMPTS]) / len(PROMPTS)
        for m in range(6)
    ]
    assert max(means) - min(means) > 0.4


async def test_quality_and_spread_can_be_set() -> None:
    texts = [(await ask(p, quality=5, spread=0)).text for p in PROMPTS[:5]]
    assert {quality_of(text) for text in texts} == {5}


async def test_usage_counts_four_characters_as_a_token() -> None:
    answer = await ask("x" * 400)
    assert answer.usage.input_tokens == 100
    assert answer.usage.output_tokens == -(-len(answer.text) // 4)
    assert (answer.model, answer.finish_reason) == ("m", "stop")


async def test_a_short_limit_leaves_fewer_sentences_and_the_marker() -> None:
    answer = await ask(PROMPTS[0], params=Params(max_tokens=40))
    assert len(answer.text) <= 160
    assert answer.finish_reason == "stop"
    assert answer.text.endswith("of 5.)")


async def test_a_limit_too_short_for_anything_cuts_the_answer() -> None:
    answer = await ask(PROMPTS[0], params=Params(max_tokens=3))
    assert (len(answer.text), answer.finish_reason) == (12, "length")


async def test_a_stop_text_ends_the_answer_and_is_not_part_of_it() -> None:
    answer = await ask(PROMPTS[0], params=Params(stop=("quality", "\n\n\n")))
    assert answer.text.endswith("(A simulated answer of ")
    assert answer.finish_reason == "stop"


@given(st.text(), st.integers(0, 2**64 - 1))
def test_any_prompt_gets_an_answer_with_a_marker(prompt: str, number: int) -> None:
    text = write_answer(prompt, number, 3.0, 1.1, None)
    text.encode()
    assert "\0" not in text
    assert text.endswith(marker(quality_of(text)))


@pytest.mark.parametrize("quality", [1, 2, 3, 4, 5])
def test_a_marker_is_read_wherever_it_stands(quality: int) -> None:
    assert quality_of(f"Some text, quality 9 of 5.\n{marker(quality)}\nfast quality service") == (
        quality
    )


@given(st.text(min_size=1))
def test_a_text_without_a_marker_has_a_quality_that_survives_quoting(text: str) -> None:
    quality = quality_of(text)
    assert 1 <= quality <= 5
    if "quality" not in text:
        assert quality_of(f"  > {text}\n") == quality


def test_texts_without_a_marker_are_of_every_quality() -> None:
    assert set(Counter(quality_of(prompt) for prompt in PROMPTS)) == {1, 2, 3, 4, 5}


def test_a_prompt_of_dull_words_has_topics_too() -> None:
    assert topics_of("What is it?") == ("the question", "its context")

"""Simulated judges: they find the texts, and rate each by its quality."""

import json
from typing import Any

import pytest

from prefmill.contracts.chat import Message, Params
from prefmill.engines.simulated import SimulatedEngine, SimulatedOptions, quality_of
from prefmill.engines.simulated.asked import Asked
from prefmill.engines.simulated.judge import shown_by, texts_in
from prefmill.engines.simulated.quality import fingerprint_of, marker
from prefmill.plugins.engine import ChatRequest

TEXTS = tuple(f"An answer.\n\nIts second paragraph.\n\n{marker(q)}" for q in (4, 1, 5))
RECORDED = ("Paris, of course.", "It is Lyon.\n---\n### Output", "I do not know.")


def fenced(texts: tuple[str, ...], aspect: str = "overall-rating") -> str:
    shown = "\n".join(f"<text {n}>\n{text}\n</text {n}>" for n, text in enumerate(texts, 1))
    return f"Aspect: {aspect}\n\nThe instruction:\nWhich city?\n\n{shown}\n\nAnswer as told."


def unfenced(texts: tuple[str, ...], typed: bool = False) -> str:
    """The layout of UltraFeedback's own templates, with its example before the texts."""
    kind = "Type: [List of types]\nRationale: [Rationale]\n" if typed else ""
    form = f"#### Output for Text 1\n{kind}Rating: [Rating for text 1]"
    example = f"## Format\n\nTexts:\n<text 1> [Text 1]\n<text 2> [Text 2]\n\n### Output\n{form}"
    shown = "\n".join(f"<text {n}> {text}" for n, text in enumerate(texts, 1))
    return f"{example}\n---\n\n## Annotation\n\nTexts:\n\n{shown}\n\n### Output "


async def ask(prompt: str, schema: dict[str, Any] | None = None, **params: Any) -> str:
    engine = SimulatedEngine(SimulatedOptions(model="judge"))
    messages = (Message(role="system", content="You rate."), Message(role="user", content=prompt))
    request = ChatRequest(messages, Params.model_validate(params), 1, schema)
    return (await engine.complete(request)).text


def ratings(answer: str) -> list[tuple[int, int]]:
    blocks = answer.split("#### Output for Text ")[1:]
    return [(int(block[0]), int(block.split("Rating: ")[1][0])) for block in blocks]


@pytest.mark.parametrize("layout", [fenced, unfenced])
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1], RECORDED])
async def test_each_text_is_rated_by_its_quality(layout: Any, texts: tuple[str, ...]) -> None:
    expected = [(n, quality_of(text)) for n, text in enumerate(texts, 1)]
    assert ratings(await ask(layout(texts))) == expected


@pytest.mark.parametrize("layout", [fenced, unfenced])
def test_the_texts_are_found_as_they_are(layout: Any) -> None:
    assert texts_in(layout(TEXTS)) == TEXTS


async def test_the_rating_is_the_same_whatever_the_aspect() -> None:
    one = ratings(await ask(fenced(TEXTS, "honesty")))
    assert one == ratings(await ask(fenced(TEXTS, "truthfulness")))


async def test_an_aspect_without_types_is_answered_in_the_plain_layout() -> None:
    lines = (await ask(fenced(TEXTS))).split("\n")
    starts = [line.split(":")[0] for line in lines]
    block = ["#### Output for Text {}", "Rating", "Rationale"]
    expected = [part.format(n) for n in (1, 2, 3) for part in (*block, "")]
    assert starts == expected[:-1]


@pytest.mark.parametrize("aspect", ["truthfulness", "helpfulness"])
async def test_an_aspect_with_types_gives_types_first_and_two_rationales(aspect: str) -> None:
    block = (await ask(fenced(TEXTS, aspect))).split("\n\n")[0].split("\n")
    assert [line.split(":")[0] for line in block[1:]] == [
        "Type",
        "Rationale",
        "Rating",
        "Rationale",
    ]


async def test_types_agree_with_the_rating() -> None:
    assert "Text 3\nType: None\n" in await ask(fenced(TEXTS, "truthfulness"))
    assert "Text 3\nType: 1, 2, 3\n" in await ask(fenced(TEXTS, "helpfulness"))
    assert "Text 2\nType: None\n" in await ask(fenced(TEXTS, "helpfulness"))


async def test_a_template_that_names_no_aspect_but_asks_for_types_gets_them() -> None:
    assert "\nType: " in await ask(unfenced(TEXTS, typed=True))
    assert "\nType: " not in await ask(unfenced(TEXTS))


async def test_a_rationale_cites_the_text_it_stands_for() -> None:
    blocks = (await ask(fenced(TEXTS))).split("\n\n")
    assert [fingerprint_of(text) in block for text, block in zip(TEXTS, blocks, strict=True)] == (
        [True] * 3
    )


async def test_a_limit_too_small_for_all_texts_cuts_the_verdict() -> None:
    assert len(ratings(await ask(fenced(TEXTS), max_tokens=20))) == 1


def test_an_ordinary_prompt_is_no_judges_prompt() -> None:
    for prompt in ("Hello", "Why does <text 1> appear here?", "<text 1>\nhi\n</text 1>\nGo on."):
        assert shown_by(Asked("m", (("user", prompt),))) is None


def by_text(texts: int) -> dict[str, Any]:
    rating = {"type": "string", "enum": ["1", "2", "3", "4", "5", "N/A"]}
    kinds = {"type": "array", "items": {"type": "string", "enum": ["1", "2", "3"]}}
    prose = {"type": "string"}
    fields = {"types": kinds, "rationale": prose, "rating": rating, "rationale_for_rating": prose}
    one = {"type": "object", "properties": fields, "required": list(fields)}
    names = [f"text_{n}" for n in range(1, texts + 1)]
    return {"type": "object", "properties": dict.fromkeys(names, one), "required": names}


async def test_an_object_per_text_is_filled_with_each_texts_verdict() -> None:
    answer = json.loads(await ask(fenced(TEXTS, "helpfulness"), by_text(3)))
    said = [(one["rating"], one["types"]) for one in answer.values()]
    assert said == [("4", ["1", "2"]), ("1", []), ("5", ["1", "2", "3"])]
    assert all(one["rationale"] != one["rationale_for_rating"] for one in answer.values())


async def test_a_list_of_verdicts_is_filled_in_order() -> None:
    verdict = {
        "type": "object",
        "properties": {
            "text": {"type": "integer"},
            "rating": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "rationale": {"type": ["string", "null"]},
        },
    }
    properties = {"verdicts": {"type": "array", "items": {"$ref": "#/$defs/verdict"}}}
    schema = {"type": "object", "properties": properties, "$defs": {"verdict": verdict}}
    answer = json.loads(await ask(fenced(TEXTS), schema))["verdicts"]
    assert [(one["text"], one["rating"]) for one in answer] == [(1, 4), (2, 1), (3, 5)]
    assert all(one["rationale"] for one in answer)


async def test_a_list_of_named_ratings_is_filled_from_the_lowest_up() -> None:
    names = ["Low", "Moderate", "Average", "Good", "Excellent"]
    schema = {
        "type": "object",
        "properties": {"ratings": {"type": "array", "items": {"type": "string", "enum": names}}},
    }
    assert json.loads(await ask(fenced(TEXTS), schema)) == {"ratings": ["Good", "Low", "Excellent"]}


async def test_an_ordinary_prompt_with_a_schema_is_answered_in_json() -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "sure": {"type": "number"}},
    }
    answer = json.loads(await ask("Why do rivers bend?", schema))
    assert 1 <= quality_of(answer["answer"]) <= 5
    assert answer["sure"] == 0.0

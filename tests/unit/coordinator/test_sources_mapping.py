import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.reasons import BAD_ROW, MISSING_INSTRUCTION, NOT_TEXT, TOO_LONG
from prefmill.contracts.rows import GivenResponse, Prompt
from prefmill.contracts.work import Reference
from prefmill.coordinator.sources.columns import Columns
from prefmill.coordinator.sources.mapping import PromptMapping
from prefmill.plugins.errors import RecipeError


def prompt_of(record: Mapping[str, Any], position: int = 0, **columns: str) -> Prompt:
    made = PromptMapping(Columns(columns), max_chars=1000).prompt(record, position)
    assert Prompt.read(made.json()) == made
    return made


def turns(prompt: Prompt) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in prompt.messages]


def fault(prompt: Prompt) -> tuple[str, str]:
    assert prompt.failure is not None
    return prompt.failure.reason, prompt.failure.detail


def test_a_prompt_is_found_by_name_and_all_else_is_metadata() -> None:
    prompt = prompt_of({"id": 7, "instruction": "Hi", "source": "mine", "scores": [1, None]})

    assert prompt.id == "7"
    assert prompt.instruction == "Hi"
    assert prompt.metadata == {"source": "mine", "scores": [1, None]}


def test_a_row_without_an_id_is_named_by_its_position() -> None:
    assert prompt_of({"prompt": "Hi"}, 41).id == "41"
    assert prompt_of({"prompt": "Hi", "id": None}, 41).id == "41"


def test_metadata_keeps_columns_that_outputs_use_as_well() -> None:
    record = {"prompt": "Hi", "chosen": "a", "generations": ["b"], "responses": {"m": "c"}}

    assert prompt_of(record).metadata == {k: v for k, v in record.items() if k != "prompt"}


def test_where_several_columns_could_be_the_prompt_the_first_non_null_one_is() -> None:
    conversation = [{"role": "user", "content": "third"}]
    both = prompt_of({"messages": conversation, "instruction": "second", "prompt": None})

    assert both.instruction == "second"
    assert both.metadata == {"messages": conversation, "prompt": None}


def test_columns_are_mapped_by_the_recipe() -> None:
    record = {"question": "Why?", "uid": "q1", "sys": "Be short.", "prompt": "not me"}
    prompt = prompt_of(record, prompt="question", id="uid", system="sys")

    assert (prompt.id, turns(prompt)) == ("q1", [("system", "Be short."), ("user", "Why?")])
    assert prompt.metadata == {"prompt": "not me"}


def test_a_dotted_name_reaches_into_records_and_lists() -> None:
    record = {"data": {"turns": ["one", "two"]}, "a.b": "id"}
    prompt = prompt_of(record, instruction="data.turns.1", id="a.b")

    assert (prompt.id, prompt.instruction) == ("id", "two")
    assert prompt.metadata == {"data": {"turns": ["one", "two"]}}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, MISSING_INSTRUCTION),
        (math.nan, MISSING_INSTRUCTION),
        ("", MISSING_INSTRUCTION),
        (" \n\t", MISSING_INSTRUCTION),
        ([], MISSING_INSTRUCTION),
        (42, NOT_TEXT),
        (True, NOT_TEXT),
        ({"text": "Hi"}, NOT_TEXT),
        (b"Hi", NOT_TEXT),
        ("x" * 1001, TOO_LONG),
    ],
)
def test_an_instruction_that_cannot_be_used_fails_its_row_alone(value: Any, reason: str) -> None:
    prompt = prompt_of({"id": "r", "prompt": value, "topic": "t"}, 3)

    assert fault(prompt)[0] == reason
    assert (prompt.id, prompt.messages, prompt.metadata["topic"]) == ("r", (), "t")


def test_a_value_that_is_no_prompt_stays_in_the_failed_rows_metadata() -> None:
    assert prompt_of({"prompt": 42}).metadata == {"prompt": 42}


def test_an_enormous_instruction_is_not_carried_along() -> None:
    prompt = prompt_of({"prompt": "long " * 1000})

    assert fault(prompt) == (
        TOO_LONG,
        f"the conversation has 5,000 characters, max_chars is 1,000; it begins {('long ' * 12)!r}",
    )
    assert prompt.metadata == {}


def test_a_row_in_which_the_mapped_column_is_missing_fails() -> None:
    assert fault(prompt_of({"other": 1}, prompt="question")) == (
        MISSING_INSTRUCTION,
        "question is null or missing",
    )


def test_nul_and_lone_surrogates_are_replaced_everywhere() -> None:
    prompt = prompt_of({"prompt": "a\x00b", "x\x00": ["\ud800", {"k": "\udfff!"}]})

    assert prompt.instruction == "a\ufffdb"
    assert prompt.metadata == {"x\ufffd": ["\ufffd", {"k": "\ufffd!"}]}


def test_metadata_of_all_kinds_become_json() -> None:
    record = {
        "prompt": "Hi",
        "nan": math.nan,
        "inf": -math.inf,
        "when": datetime(2024, 2, 3, 4, 5, tzinfo=UTC),
        "day": date(2024, 2, 3),
        "took": timedelta(minutes=2),
        "bytes": b"\xff\x00",
        "price": Decimal("1.10"),
        "huge": 10**300,
        "tuple": (1, "a"),
        "flag": True,
    }

    assert prompt_of(record).metadata == {
        "nan": None,
        "inf": None,
        "when": "2024-02-03T04:05:00+00:00",
        "day": "2024-02-03",
        "took": 120.0,
        "bytes": "/wA=",
        "price": "1.10",
        "huge": 10**300,
        "tuple": [1, "a"],
        "flag": True,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
STORABLE = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=6))
def test_no_record_of_json_raises_and_every_column_finds_a_place(record: dict[str, Any]) -> None:
    prompt = PromptMapping(Columns({}), max_chars=100).prompt(record, 5)

    assert prompt.json()
    assert (prompt.failure is None) == bool(prompt.messages)
    used = len(record) - len(prompt.metadata)
    assert 0 <= used <= 3


@given(
    st.text(STORABLE, min_size=1).filter(lambda text: bool(text.strip())),
    st.dictionaries(st.text(STORABLE).map("x_{}".format), st.text(STORABLE) | st.integers()),
)
def test_text_and_metadata_come_through_unchanged(text: str, metadata: dict[str, Any]) -> None:
    prompt = PromptMapping(Columns({}), max_chars=10**6).prompt({"prompt": text, **metadata}, 0)

    assert prompt.instruction == text
    assert prompt.metadata == metadata


def test_conversations_are_read_in_all_their_forms() -> None:
    ours = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": [{"type": "text", "text": "th"}, {"text": "ree"}]},
    ]
    sharegpt = [
        {"from": "system", "value": "S"},
        {"from": "human", "value": "one"},
        {"from": "gpt", "value": "two"},
        {"from": "human", "value": "three"},
    ]
    wanted = [("system", "S"), ("user", "one"), ("assistant", "two"), ("user", "three")]

    assert turns(prompt_of({"messages": ours})) == wanted
    assert turns(prompt_of({"conversations": sharegpt}, messages="conversations")) == wanted
    assert turns(prompt_of({"prompt": ours})) == wanted
    as_json = '[{"role": "user", "content": "in a CSV"}]'
    assert turns(prompt_of({"messages": as_json})) == [("user", "in a CSV")]


@pytest.mark.parametrize(
    ("conversation", "reason", "words"),
    [
        ([{"role": "tool", "content": "x"}], BAD_ROW, "turn 1 has the role 'tool'"),
        (
            [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
            BAD_ROW,
            "ends",
        ),
        ([{"role": "assistant", "content": "x"}], BAD_ROW, "turn 1 is the assistant's"),
        (
            [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}],
            BAD_ROW,
            "turn 2 is the user's; the assistant's was due",
        ),
        ([{"role": "system", "content": "x"}], MISSING_INSTRUCTION, "no user turn"),
        ([{"role": "user", "content": None}], MISSING_INSTRUCTION, "turn 1 is empty"),
        ([{"role": "user", "content": " "}], MISSING_INSTRUCTION, "white space"),
        ([{"role": "user", "content": 3}], NOT_TEXT, "turn 1 is int"),
        ([{"role": "user", "content": [{"image": "x"}]}], NOT_TEXT, "parts that are not text"),
        (["just text"], BAD_ROW, "turn 1 is no record"),
        ({"role": "user"}, NOT_TEXT, "not a list of turns"),
        ("[{", BAD_ROW, "no valid JSON"),
    ],
)
def test_a_conversation_that_cannot_be_gone_on_with_says_why(
    conversation: Any, reason: str, words: str
) -> None:
    found = fault(prompt_of({"messages": conversation}))

    assert found[0] == reason
    assert words in found[1]


def test_a_conversations_own_system_turn_wins_and_the_column_stays_metadata() -> None:
    own = [{"role": "system", "content": "own"}, {"role": "user", "content": "Hi"}]
    prompt = prompt_of({"messages": own, "system": "other"})

    assert turns(prompt) == [("system", "own"), ("user", "Hi")]
    assert prompt.metadata == {"system": "other"}


def test_an_empty_system_prompt_is_none() -> None:
    assert turns(prompt_of({"prompt": "Hi", "system": " "})) == [("user", "Hi")]


def test_a_system_column_that_was_not_asked_for_and_is_no_text_is_metadata() -> None:
    assert prompt_of({"prompt": "Hi", "system": {"os": "x"}}).metadata == {"system": {"os": "x"}}
    assert fault(prompt_of({"prompt": "Hi", "s": 3}, system="s"))[0] == NOT_TEXT


def test_references_are_texts_or_lists() -> None:
    record = {"prompt": "2+2?", "answer": 4, "wrong": ["5", None, "22"], "why": "arithmetic"}
    prompt = prompt_of(record, reference="answer", incorrect="wrong", note="why")

    assert prompt.reference == Reference(correct=("4",), incorrect=("5", "22"), note="arithmetic")
    assert prompt.metadata == {}
    assert prompt_of({"prompt": "x", "answer": None}, reference="answer").reference is None
    assert fault(prompt_of({"prompt": "x", "a": {}}, reference="a"))[0] == BAD_ROW


GIVEN = (GivenResponse(model="m1", text="one"), GivenResponse(model="m2", text=None))


@pytest.mark.parametrize(
    "responses",
    [
        {"m1": "one", "m2": None},
        [{"model": "m1", "text": "one"}, {"model": "m2", "text": " "}],
        [{"model": "m1", "response": "one"}, {"model_name": "m2", "content": None}],
        '{"m1": "one", "m2": null}',
    ],
)
def test_responses_are_read_in_all_their_forms(responses: Any) -> None:
    prompt = prompt_of({"prompt": "Hi", "r": responses}, responses="r")

    assert prompt.responses == GIVEN
    assert prompt.metadata == {}


def test_a_list_of_texts_has_its_models_beside_it_or_is_numbered() -> None:
    record = {"prompt": "Hi", "generations": ["a", "b", "c"], "generation_models": ["x", "y", "x"]}
    named = prompt_of(record, responses="generations", models="generation_models")
    numbered = prompt_of(record, responses="generations")

    assert [given.model for given in named.responses] == ["x", "y", "x#2"]
    assert [given.model for given in numbered.responses] == [f"response-{n}" for n in (1, 2, 3)]
    assert numbered.metadata == {"generation_models": ["x", "y", "x"]}


def test_what_responses_hold_besides_model_and_text_stays_metadata() -> None:
    completions = [{"model": "m", "response": "a", "score": 3}]
    prompt = prompt_of({"instruction": "Hi", "completions": completions}, responses="completions")

    assert prompt.responses == (GivenResponse(model="m", text="a"),)
    assert prompt.metadata == {"completions": completions}


@pytest.mark.parametrize(
    ("responses", "reason"),
    [(3, BAD_ROW), ({"m": 3}, NOT_TEXT), ("{", BAD_ROW), ({"m": "x" * 1001}, TOO_LONG)],
)
def test_responses_that_cannot_be_read_fail_the_row_and_keep_its_prompt(
    responses: Any, reason: str
) -> None:
    prompt = prompt_of({"prompt": "Hi", "r": responses}, responses="r")

    assert fault(prompt)[0] == reason
    assert prompt.instruction == "Hi"


def test_texts_and_models_of_different_length_fail_the_row() -> None:
    record = {"prompt": "Hi", "g": ["a", "b"], "m": ["x"]}

    assert "not as many models" in fault(prompt_of(record, responses="g", models="m"))[1]


def test_an_unknown_part_of_a_prompt_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"unknown name 'referense'; did you mean 'reference'\?"):
        Columns({"referense": "x"})


def test_two_columns_cannot_both_be_the_prompt() -> None:
    with pytest.raises(RecipeError, match="prompt and messages each name the prompt"):
        Columns({"messages": "a", "prompt": "b"})


def test_one_plain_text_is_a_response() -> None:
    prompt = prompt_of({"prompt": "Why?", "response": "So [1]."}, responses="response")
    assert prompt.responses == (GivenResponse(model="response", text="So [1]."),)

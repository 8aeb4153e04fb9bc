"""What a judge is shown.

`PREFMILL_RENEW_GOLDEN=1 pytest tests/unit/judge` writes the golden files anew: read the difference.
"""

import os
import re
from pathlib import Path

import jsonschema
import pytest

from prefmill.contracts.chat import Message
from prefmill.contracts.work import JudgeRow, Reference
from prefmill.judge.rubrics.aspects import ASPECTS
from prefmill.judge.rubrics.ultrafeedback import UltraFeedback
from prefmill.plugins.errors import RecipeError

GOLDEN = Path(__file__).parent / "golden"
RUBRIC = UltraFeedback(UltraFeedback.Options(ultrafeedback=tuple(ASPECTS)))
TOLD = UltraFeedback(
    UltraFeedback.Options(ultrafeedback=tuple(ASPECTS), reference_in=tuple(ASPECTS))
)
BARE = JudgeRow(
    row=0,
    instruction="What is the capital of Australia?",
    generations=("Sydney.", "Canberra, since 1913.\n\nBefore that, Melbourne.", "No idea."),
    cells=(),
)
FULL = BARE.replace(
    history=(
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello!"),
        Message(role="assistant", content="Hello. What would you like to know?"),
    ),
    reference=Reference(
        correct=("Canberra", "It is Canberra."),
        incorrect=("Sydney",),
        note="Often taken for Sydney.",
    ),
)


def shown(row, aspect, order, rubric=RUBRIC):
    messages = rubric.ask(row, aspect, order).messages
    return "\n\n".join(f"[[{message.role}]]\n{message.content}" for message in messages) + "\n"


@pytest.mark.parametrize("aspect", ASPECTS)
@pytest.mark.parametrize(("row", "order", "name"), [(BARE, (0,), "one"), (FULL, (2, 0, 1), "full")])
def test_the_built_in_prompts_are_as_the_golden_files_say(aspect, row, order, name):
    golden, made = GOLDEN / f"{aspect}.{name}.txt", shown(row, aspect, order)
    if os.environ.get("PREFMILL_RENEW_GOLDEN"):
        golden.write_text(made, encoding="utf-8")
    assert made == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_scale_in_the_prompt_is_the_scale_of_the_reader(aspect):
    system = RUBRIC.ask(BARE, aspect, (0, 1)).messages[0].content
    for rating, forms in enumerate(ASPECTS[aspect].names, 1):
        assert f"\n{rating}. {forms[0]}: " in system
    for number, name in enumerate(ASPECTS[aspect].layout.types, 1):
        assert f"\n{number}. {name}: " in system
    assert ("\nN/A: " in system) == ASPECTS[aspect].layout.scale.not_applicable


@pytest.mark.parametrize("aspect", ASPECTS)
def test_a_user_prompt_opens_with_its_aspect_and_ends_with_the_layout(aspect):
    user = RUBRIC.ask(BARE, aspect, (1, 0)).messages[-1].content
    assert user.startswith(f"Aspect: {aspect}\n")
    assert re.findall(r"(?m)^#### Output for Text (\d+)$", user) == ["1", "2"]
    assert user.count("\nType: ") == (2 if ASPECTS[aspect].layout.types else 0)
    assert user.count("N/A") == (2 if aspect == "honesty" else 0)


def test_the_order_decides_which_text_bears_which_number():
    user = RUBRIC.ask(BARE, "honesty", (2, 0)).messages[-1].content
    assert "<text 1>\nNo idea.\n</text 1>" in user
    assert "<text 2>\nSydney.\n</text 2>" in user
    assert "Canberra" not in user


def test_only_the_aspects_named_are_told_the_reference():
    assert "It is Canberra." in shown(FULL, "truthfulness", (0,))
    assert "It is Canberra." not in shown(FULL, "helpfulness", (0,))
    assert all("It is Canberra." in shown(FULL, aspect, (0,), TOLD) for aspect in ASPECTS)


def test_a_judge_that_is_told_references_hears_when_there_is_none():
    assert "No reference answer" in shown(BARE, "truthfulness", (0,))
    assert "No reference answer" not in shown(BARE, "honesty", (0,))
    empty = BARE.replace(reference=Reference())
    assert shown(empty, "truthfulness", (0,)) == shown(BARE, "truthfulness", (0,))


def test_a_note_alone_is_a_reference():
    row = BARE.replace(reference=Reference(note="Rests on a false premise."))
    text = shown(row, "truthfulness", (0,))
    assert "<reference>\nNote: Rests on a false premise.\n</reference>" in text


def test_foreign_text_is_never_a_template():
    row = BARE.replace(instruction="{{ 1 + 1 }}", generations=("{% raw %}", "{{ instruction }}"))
    user = RUBRIC.ask(row, "honesty", (0, 1)).messages[-1].content
    assert "<instruction>\n{{ 1 + 1 }}\n</instruction>" in user
    assert "<text 1>\n{% raw %}\n</text 1>\n\n<text 2>\n{{ instruction }}\n</text 2>" in user


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_schema_demands_every_text_and_its_answers_are_read(aspect):
    schema = RUBRIC.ask(BARE, aspect, (0, 1, 2)).schema
    verdict = {"rating": "5", "rationale": "a"}
    if ASPECTS[aspect].layout.types:
        verdict |= {"types": ["1"], "rationale_for_rating": "b"}
    whole = {f"text_{n}": verdict for n in (1, 2, 3)}
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(whole, schema)
    for broken in (
        {"text_1": verdict, "text_2": verdict},
        whole | {"text_4": verdict},
        whole | {"text_1": verdict | {"rating": "6"}},
        whole | {"text_1": verdict | {"rating": None}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)
    rating = schema["properties"]["text_1"]["properties"]["rating"]
    assert ("N/A" in rating["enum"]) == (aspect == "honesty")


def test_an_aspect_that_is_not_asked_for_is_an_error_that_names_it():
    rubric = UltraFeedback(UltraFeedback.Options(ultrafeedback=("honesty",)))
    with pytest.raises(RecipeError, match="'helpfulness' is not asked for"):
        rubric.ask(BARE, "helpfulness", (0,))
    with pytest.raises(RecipeError, match="no aspect named 'honest'; did you mean 'honesty'"):
        rubric.read("honest", "", 1)

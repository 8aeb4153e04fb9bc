"""The quick ways to ask and to read give what the slow ways give, or nothing."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from prefmill.contracts.chat import Message
from prefmill.contracts.results import Reading
from prefmill.contracts.work import JudgeRow, Reference
from prefmill.judge.rubrics.aspects import ASPECTS
from prefmill.judge.rubrics.frames import passes_on
from prefmill.judge.rubrics.plain import read_plain
from prefmill.judge.rubrics.questions import values_of
from prefmill.judge.rubrics.templates import Prompt, source_of
from prefmill.judge.rubrics.ultrafeedback import BUILT_IN

SANDBOX = ImmutableSandboxedEnvironment(autoescape=False)
USER = source_of(BUILT_IN / "user.jinja2")
PASSING = (
    USER,
    "{{ instruction }}{% for n in range(no_texts) %}\n{{ n }}: {{ generations[n] }}{% endfor %}",
    "{% set last = no_texts - 1 %}{{ generations[last] }}{{ instruction }}{{ generations[-1] }}",
    "{% if history %}{{ history[0].content }}{% endif %}{{ reference }}{{ instruction }}",
)
ASKING = (
    "{% for instruction in types %}{{ instruction }}{% endfor %}{{ generations[0] }}",
    "{{ instruction | upper }}",
    "{{ instruction ~ '.' }}",
    "{% if instruction %}{{ instruction }}{% endif %}",
    "{{ generations }}",
    "{{ generations[0:2] }}",
    "{{ generations[0] | length }}",
    "{{ generations[generations[0] | length] }}",
    "{% for text in generations %}{{ text }}{% endfor %}",
    "{% set x = instruction %}{{ x }}",
    "{% set x %}{{ instruction }}{% endset %}{{ x | upper }}",
    "{% filter upper %}{{ instruction }}{% endfilter %}",
    "{% macro m() %}{{ instruction }}{% endmacro %}{{ m() | upper }}",
    "{% with %}{{ instruction }}{% endwith %}",
    "{{ {'a': instruction}['a'] }}",
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["{{ instruction }}", "<text 1>", "</instruction>", "#### Output for Text 1", "", "i;", "0;"]
)
ROWS = st.builds(
    JudgeRow,
    row=st.just(0),
    instruction=TEXTS,
    history=st.lists(st.builds(Message, role=st.just("user"), content=TEXTS), max_size=1),
    reference=st.none() | st.builds(Reference, correct=st.lists(TEXTS, max_size=1)),
    generations=st.lists(TEXTS, min_size=1, max_size=4),
    cells=st.just(()),
)


@given(
    source=st.sampled_from(PASSING + ASKING[:5]),
    aspect=st.sampled_from(list(ASPECTS)),
    rows=st.lists(ROWS, min_size=1, max_size=3),
    told=st.booleans(),
)
def test_a_prompt_of_a_frame_is_the_prompt_that_its_template_renders(
    source: str, aspect: str, rows: list[JudgeRow], told: bool
) -> None:
    prompt = Prompt(source, "here")
    for row in rows:
        order = tuple(reversed(range(len(row.generations))))
        values = values_of(ASPECTS[aspect], row, order, told)
        assert prompt.render(values) == SANDBOX.from_string(source).render(values)


@pytest.mark.parametrize("source", PASSING)
def test_a_template_that_only_prints_the_texts_passes_them_on(source: str) -> None:
    assert passes_on(SANDBOX.parse(source))


@pytest.mark.parametrize("source", ASKING)
def test_a_template_that_asks_anything_of_a_text_does_not_pass_it_on(source: str) -> None:
    assert not passes_on(SANDBOX.parse(source))


RATINGS = st.sampled_from(["1", "3", "5", "9", "0", "N/A", "n/a", "4 - Good", "4/5", "1, 2", ""])
TYPES = st.sampled_from(["None", "1", "1, 3", "2,3", "9", "1, 1", "", "none of them"])
PROSE = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(
    ["It is fine. Rating: 2", "Rating: 5", "Text 2: 4", "#### Output for Text 2", "```json", "```",
     "fine *", "fine\u2028Rating: 1", "fine\x1c", "fine\x85x", "<think>", "</think> so", "**a**",
     "for the rating: good", "Rationale: twice", "It says {\"text_1\": 1}", "é" * 40, "a" * 25]
)  # fmt: skip
NUMBERS = st.integers(1, 4)
GAPS = st.sampled_from(["\n", "\n\n", "\n\n\n", " \n", "\r\n", ""])


@st.composite
def answers(draw: st.DrawFn, typed: bool) -> str:
    """Answers that are plain, or nearly."""
    parts: list[str] = [draw(st.sampled_from(["", "", "", "\n", "So:\n"]))]
    for number in range(1, draw(st.integers(1, 4))):
        shown = draw(st.just(number) | NUMBERS)
        lines = [f"#### Output for Text {shown}"]
        lines += [f"Type: {draw(TYPES)}", f"Rationale: {draw(PROSE)}"] if typed else []
        lines += [f"Rating: {draw(RATINGS)}", f"Rationale: {draw(PROSE)}"]
        parts.append("\n".join(lines) + draw(GAPS))
    return "".join(parts)


@given(aspect=st.sampled_from(["honesty", "overall-rating"]), answer=answers(False), texts=NUMBERS)
@example("honesty", "#### Output for Text 1\nRating: N/A\nRationale: A.", 1)
def test_a_plain_answer_is_read_as_any_other(aspect: str, answer: str, texts: int) -> None:
    same_or_nothing(aspect, answer, texts)


@given(aspect=st.sampled_from(["helpfulness", "truthfulness"]), answer=answers(True), texts=NUMBERS)
def test_a_plain_answer_with_types_is_read_as_any_other(
    aspect: str, answer: str, texts: int
) -> None:
    same_or_nothing(aspect, answer, texts)


def same_or_nothing(aspect: str, answer: str, texts: int) -> None:
    layout = ASPECTS[aspect].layout
    plain = read_plain(answer, texts, layout.scale, layout.types)
    assert plain is None or plain == layout.searched(answer, texts)


def test_the_answer_that_is_asked_for_is_plain() -> None:
    rated = "#### Output for Text {}\nRating: 4\nRationale: Good, but *long*. "
    layout = ASPECTS["overall-rating"].layout
    answer = "\n\n".join(rated.format(n) for n in (1, 2))
    reading = Reading(rating=4.0, status="rated", rationale="Good, but *long*.")
    assert read_plain(answer, 2, layout.scale, ()) == (reading, reading)
    assert read_plain(answer, 1, layout.scale, ()) is None
    assert read_plain(answer, 3, layout.scale, ()) is None


def test_the_answer_that_is_asked_for_with_types_is_plain() -> None:
    layout = ASPECTS["helpfulness"].layout
    answer = "#### Output for Text 1\nType: 1, 3\nRationale: A.\nRating: 5\nRationale: B.\n"
    reading = Reading(
        rating=5.0, status="rated", rationale="A.", types=("1", "3"), rationale_for_rating="B."
    )
    assert read_plain(answer, 1, layout.scale, layout.types) == (reading,)

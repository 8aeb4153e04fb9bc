"""Each rubric's own question, answered by the simulated judge, read by the rubric: the rating of
a text is that of its quality, in whatever order, layout or malformed form."""

import pytest

from prefmill.contracts.chat import Params
from prefmill.contracts.work import JudgeRow
from prefmill.engines.simulated import SimulatedEngine, SimulatedOptions
from prefmill.engines.simulated.malformed.mangled import MANGLED, RECOVERED
from prefmill.engines.simulated.quality import marker
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.registry import named_options

QUALITIES = (4, 1, 5, 2, 3)
ROW = JudgeRow(
    row=0,
    instruction="Why do rivers bend?",
    generations=tuple(f"An answer.\n\nMore of it.\n\n{marker(q)}" for q in QUALITIES),
    cells=(),
)
CRITERIA = {"clear": {"criterion": "Is it clear?", "scores": ["a", "b", "c", "d", "e"]}}
SHOWN = (
    "{% for t in generations %}\n<text {{ loop.index }}>\n{{ t }}\n</text {{ loop.index }}>\n"
    "{% endfor %}"
)
PAIR = "\n<text A>\n{{ generations[0] }}\n</text A>\n<text B>\n{{ generations[1] }}\n</text B>\n"


def template(user, **more):
    return {"template": {"user": user, **more}}


TENTHS = (1, 3, 6, 8, 10)
PERCENT = (0, 25, 50, 75, 100)
EACH = {
    "critique": ({"critique": None}, TENTHS),
    "helpsteer": ({"helpsteer": None}, (0, 1, 2, 3, 4)),
    "prometheus": ({"prometheus": "absolute", "criteria": CRITERIA}, (1, 2, 3, 4, 5)),
    "tags": (
        template(
            f"{SHOWN}<rationale>[why]</rationale>\n<rating>[0 to 100]</rating>",
            scale={"min": 0, "max": 100},
        ),
        PERCENT,
    ),
    "blocks": (
        template(
            f"{SHOWN}#### Output for Text 1\nRating: [1 to 10]\nRationale: [why]",
            scale={"min": 1, "max": 10},
            output="blocks",
        ),
        TENTHS,
    ),
    "regex": (
        template(
            f"{SHOWN}End with one line:\nOverall Score: [1 to 10]",
            scale={"min": 1, "max": 10},
            output="regex",
            pattern=r"(?im)overall score\W*(?P<rating>-?\w+\.?)",
        ),
        TENTHS,
    ),
}
PAIRS = {
    "pairwise": {"pairwise": None},
    "relative": {"prometheus": "relative", "criteria": CRITERIA},
    "template": template(
        f"{PAIR}<rationale>[why]</rationale><rating>[A, B or tie]</rating>", shows="pairs"
    ),
}


def made(spec):
    plugin, options = named_options("rubrics", spec, "judge.rubric")
    return plugin(options)


async def judged(rubric, order, structured=False, **faults):
    engine = SimulatedEngine(SimulatedOptions(model="judge", faults=faults))
    aspect = rubric.aspects[0]
    question = rubric.ask(ROW, aspect, order)
    schema = question.schema if structured else None
    request = ChatRequest(question.messages, Params(), 1, schema)
    answer = (await engine.complete(request)).text
    return rubric.read(aspect, answer, len(order)), answer


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("name", EACH)
async def test_each_text_is_rated_by_its_quality(name, structured):
    spec, ratings = EACH[name]
    rubric = made(spec)
    for index, quality in enumerate(QUALITIES):
        (reading,), answer = await judged(rubric, (index,), structured)
        assert reading.rating == ratings[quality - 1], answer


@pytest.mark.parametrize("form", MANGLED)
@pytest.mark.parametrize("name", [name for name in EACH if name not in ("blocks", "regex")])
async def test_a_malformed_answer_is_read_rightly_or_not_at_all(name, form):
    spec, ratings = EACH[name]
    for index in (0, 1):
        (reading,), answer = await judged(made(spec), (index,), **{f"malformed:{form}": 1.0})
        expected = ratings[QUALITIES[index] - 1] if form in RECOVERED else None
        assert reading.rating == expected, answer


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("name", PAIRS)
async def test_the_better_text_of_a_pair_wins_in_both_orders(name, structured):
    rubric = made(PAIRS[name])
    for order, ratings in (((0, 1), [1, 0]), ((1, 0), [0, 1]), ((2, 0), [1, 0])):
        readings, answer = await judged(rubric, order, structured)
        assert [reading.rating for reading in readings] == ratings, answer


@pytest.mark.parametrize("form", MANGLED)
@pytest.mark.parametrize("name", PAIRS)
async def test_a_malformed_choice_is_read_rightly_or_not_at_all(name, form):
    readings, answer = await judged(made(PAIRS[name]), (1, 0), **{f"malformed:{form}": 1.0})
    expected = [0, 1] if form in RECOVERED else [None, None]
    assert [reading.rating for reading in readings] == expected, answer


async def test_several_texts_have_numbered_tags():
    rubric = made(
        template(
            SHOWN
            + "{% for n in range(1, no_texts + 1) %}<rationale_{{ n }}>[why]</rationale_{{ n }}>\n"
            "<rating_{{ n }}>[1 to 5]</rating_{{ n }}>\n{% endfor %}",
            scale={"min": 1, "max": 5},
            shows="all",
        )
    )
    for structured in (False, True):
        readings, answer = await judged(rubric, (2, 0, 4, 1, 3), structured)
        assert [reading.rating for reading in readings] == [5, 4, 3, 1, 2], answer
        assert len({reading.rationale for reading in readings}) == 5


async def test_texts_of_equal_quality_are_a_tie():
    row = ROW.replace(generations=(ROW.generations[0], "X. " + ROW.generations[0]))
    engine = SimulatedEngine(SimulatedOptions(model="judge"))
    rubric = made(PAIRS["pairwise"])
    question = rubric.ask(row, "preference", (0, 1))
    answer = await engine.complete(ChatRequest(question.messages, Params(), 1))
    assert [r.rating for r in rubric.read("preference", answer.text, 2)] == [0.5, 0.5]

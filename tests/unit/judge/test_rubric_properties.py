"""Properties of the readers of single answers: no mangling shifts a rating."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from prefmill.contracts.reasons import RATED
from prefmill.contracts.results import Reading
from prefmill.judge.rubrics.choices import Choice, PairLayout
from prefmill.judge.rubrics.critique import LAYOUT as CRITIQUE
from prefmill.judge.rubrics.helpsteer import ATTRIBUTES, HelpSteer, HelpSteerOptions
from prefmill.judge.rubrics.marked import Marked
from prefmill.judge.rubrics.matched import Matched
from prefmill.judge.rubrics.pairwise import Pairwise, PairwiseOptions
from prefmill.judge.rubrics.prometheus import ABSOLUTE, RELATIVE
from prefmill.judge.rubrics.reading import Layout
from prefmill.judge.rubrics.scales import Scale
from prefmill.judge.rubrics.tagged import TaggedTexts

HELPSTEER, PAIRWISE = HelpSteer(HelpSteerOptions()), Pairwise(PairwiseOptions())
TAGGED = Layout(Scale(0, 100), TaggedTexts())
MATCHED = Layout(Scale(1, 5), Matched(r"(?i)score (?P<text>\d+) = (?P<rating>\S+)"))
READERS = {
    "critique": CRITIQUE.read,
    "helpsteer": lambda answer, texts: HELPSTEER.read("attributes", answer, texts),
    "absolute": ABSOLUTE.read,
    "relative": RELATIVE.read,
    "pairwise": lambda answer, texts: PAIRWISE.read("preference", answer, texts),
    "tagged": TAGGED.read,
    "matched": MATCHED.read,
}
PIECES = st.sampled_from(
    ["Overall Score", ":", "：", "[RESULT]", "Verdict", " ", "\n", "\r\n", "> ", "```", "**", "__",
     "A", "B", "tie", "10", "1", "-1", "/10", "4.5", "N/A", "<rating>", "</rating>", "<rating_2>",
     "<correctness>", "</correctness>", "<helpfulness", ">", "{", "}", '"', "rating", "score 1 = ",
     "<think>", "</think>", "9" * 400, "1e999", "\0", "\ud800", "Infinity", "NaN", "[", "]"]
)  # fmt: skip
JUNK = st.lists(PIECES | st.text(max_size=6), max_size=40).map("".join)


@given(st.sampled_from(sorted(READERS)), JUNK, st.integers(0, 3))
@example("helpsteer", '{"correctness": ' + "9" * 400 + "}", 1)
@example("critique", '{"overall_score": ' + "9" * 400 + "}", 1)
@example("tagged", "<rating>" * 2_000, 1)
@example("tagged", ":", 0)
def test_any_answer_gives_one_reading_per_text(name, answer, texts):
    readings = READERS[name](answer, texts)
    assert len(readings) == texts
    for reading in readings:
        assert (reading.rating is not None) == (reading.status == RATED)
        assert Reading.read(reading.json()) == reading


WORDS = st.lists(
    st.sampled_from(["it", "is", "a", "so", "good", "score", "because", "9", "facts.", "B", "so,"]),
    min_size=1,
    max_size=12,
).map(" ".join)
PROSE = st.lists(WORDS, min_size=1, max_size=3).map("\n\n".join)
COLON = st.sampled_from([": ", ":", "：", " : ", ":\n", ":** ", "**: "])
LEAD = st.sampled_from(["", "- ", "* ", "### ", "  ", "1. "])
OPENING = st.sampled_from(
    [
        "",
        "Sure.\n\n",
        "<think>\nOverall Score: 3 [RESULT] 3 Verdict: A\n</think>\n",
        "> Verdict: A\n",
    ]
)
CLOSING = st.sampled_from(["", "\n", "\n\n---\n\nI hope this helps.", "\n\nThanks!"])
CASE = st.sampled_from([str, str.lower, str.upper])
END = st.sampled_from(["\n", "\r\n"])


def line(draw, label, value):
    colon = draw(COLON)
    bold = "**" if "**" in colon else ""
    return f"{draw(LEAD)}{bold}{draw(CASE)(label)}{colon}{value}"


def number(draw, rating, high):
    forms = [f"{rating:g}", f"**{rating:g}**", f"{rating:g}/{high}", f"[{rating:g}]"]
    return draw(st.sampled_from([*forms, f"{rating:g} out of {high}", f"{rating:g}."]))


def around(draw, answer):
    return (draw(OPENING) + answer + draw(CLOSING)).replace("\n", draw(END))


@given(st.sampled_from([1, 2, 3, 5, 7.5, 8.5, 9, 10]), PROSE, st.data())
def test_no_mangling_of_a_critique_shifts_its_score(rating, prose, data):
    said = line(data.draw, "Overall Score", number(data.draw, rating, 10))
    (reading,) = CRITIQUE.read(around(data.draw, f"{prose}\n\n{said}"), 1)
    assert reading.rating == rating
    assert prose.split("\n")[0] in reading.rationale


@given(st.integers(1, 5), PROSE, st.booleans(), st.data())
def test_no_mangling_of_a_result_shifts_it(rating, prose, one_line, data):
    mark = data.draw(st.sampled_from(["[RESULT] ", "**[RESULT]** ", "[result]: ", "[ RESULT ] "]))
    said = f"{prose}{' ' if one_line else chr(10)}{mark}{number(data.draw, rating, 5)}"
    lead = data.draw(st.sampled_from(["", "Feedback: ", "**Feedback:** "]))
    (reading,) = ABSOLUTE.read(around(data.draw, lead + said), 1)
    assert reading.rating == rating


@given(
    st.fixed_dictionaries({name: st.integers(0, 4) for name in ATTRIBUTES}),
    st.permutations(ATTRIBUTES),
    st.sampled_from(["<{0}>{1}</{0}>", "<{0}>\n{1}\n</{0}>", "< {0} >{1}</ {0} >", "<{0}>{1}"]),
    st.data(),
)
def test_no_mangling_of_tags_shifts_an_attribute(ratings, order, form, data):
    case, gap = data.draw(CASE), data.draw(st.sampled_from(["\n", "\n\n", " ", "\n \n"]))
    tags = [form.format(case(n), number(data.draw, ratings[n], 4)) for n in order]
    closing = data.draw(CLOSING) if "/" in form else ""
    answer = (data.draw(OPENING) + gap.join(tags) + closing).replace("\n", data.draw(END))
    (reading,) = HELPSTEER.read("attributes", answer, 1)
    assert reading.attributes == ratings
    assert reading.rating == ratings["helpfulness"]


@given(st.sampled_from(["A", "B", "tie"]), PROSE, st.data())
def test_no_mangling_of_a_verdict_swaps_it(choice, prose, data):
    forms = ["{}", "**{}**", "[{}]", "[[{}]]", "{}.", "Text {}", "Response {}"]
    value = data.draw(st.sampled_from(forms[: 5 if choice == "tie" else 7])).format(choice)
    said = line(data.draw, "Verdict", value)
    readings = PAIRWISE.read("preference", around(data.draw, f"{prose}\n\n{said}"), 2)
    expected = {"A": [1, 0], "B": [0, 1], "tie": [0.5, 0.5]}[choice]
    assert [reading.rating for reading in readings] == expected


@given(st.dictionaries(st.integers(1, 4), st.integers(0, 100), min_size=1), st.data())
def test_numbered_tags_stay_with_their_text_in_any_order(ratings, data):
    order = data.draw(st.permutations(sorted(ratings)))
    tags = [
        f"<rating_{n}>{ratings[n]}</rating_{n}>\n<rationale_{n}>so</rationale_{n}>" for n in order
    ]
    readings = TAGGED.read(around(data.draw, "\n".join(tags)), 4)
    assert [reading.rating for reading in readings] == [ratings.get(n) for n in range(1, 5)]


@given(st.dictionaries(st.integers(1, 4), st.integers(1, 5), min_size=1), st.data())
def test_matches_stay_with_their_text_in_any_order(ratings, data):
    order = data.draw(st.permutations(sorted(ratings)))
    answer = "\n".join(f"So: score {n} = {ratings[n]}" for n in order)
    readings = MATCHED.read(around(data.draw, answer), 4)
    assert [reading.rating for reading in readings] == [ratings.get(n) for n in range(1, 5)]


@given(st.sampled_from(["A", "B"]), WORDS)
def test_what_is_written_as_json_is_read_back(choice, prose):
    answer = json.dumps({"why": prose, "better": choice})
    layout = PairLayout(Choice(), Marked(ABSOLUTE.extract.mark), alone=("why", "better"))
    first, second = layout.read(answer, 2)
    assert (first.rating, second.rating) == ((1, 0) if choice == "A" else (0, 1))
    assert first.rationale == second.rationale == prose


def test_hostile_answers_take_time_in_proportion_to_their_length():
    for piece in ("<rating>", "[RESULT] ", "Overall Score", "Overall Score: ", "> ", "```\n", "**",
                  "Verdict (", "<correctness", "score 1 = ", "overall ", "- - "):  # fmt: skip
        for read in READERS.values():
            assert len(read(piece * (300_000 // len(piece)), 1)) == 1

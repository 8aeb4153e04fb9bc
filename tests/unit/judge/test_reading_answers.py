"""Every way in which judges are known to answer badly (and a few more), read by label."""

import pytest

from prefmill.contracts.reasons import (
    AMBIGUOUS,
    MISSING_BLOCK,
    MISSING_RATING,
    NOT_A_RATING,
    NOT_APPLICABLE,
    RATED,
)
from prefmill.judge.rubrics.aspects import ASPECTS

PLAIN = """#### Output for Text 1
Rating: 4
Rationale: First.

#### Output for Text 2
Rating: 2
Rationale: Second.
"""
TYPED = """#### Output for Text 1
Type: 1, 3
Rationale: Two slips.
Rating: 3
Rationale: Half of it.

#### Output for Text 2
Type: None
Rationale: No slips.
Rating: 5
Rationale: All of it.
"""
FIRST, SECOND = PLAIN.rstrip().split("\n\n")


def read(answer, texts=2, aspect="instruction-following"):
    return ASPECTS[aspect].layout.read(answer, texts)


def ratings(answer, texts=2, aspect="instruction-following"):
    return [reading.rating for reading in read(answer, texts, aspect)]


def statuses(answer, texts=2, aspect="instruction-following"):
    return [reading.status for reading in read(answer, texts, aspect)]


WHOLE = {
    "as asked": PLAIN,
    "a blank line after the label": PLAIN.replace("1\nR", "1\n\nR"),
    "blank lines everywhere": PLAIN.replace("\n", "\n\n"),
    "a preamble": "Sure! Text 1 and Text 2, here I come. Rating: 5 at most.\n\n" + PLAIN,
    "thoughts": "<think>\nText 1 seems fine.\n</think>\n\n" + PLAIN,
    "thoughts with a draft": f"<think>\n{PLAIN.replace('4', '1')}\n</think>\n\n{PLAIN}",
    "thoughts never opened": f"Hm.\n{PLAIN.replace('4', '1')}\n</think>\n\n{PLAIN}",
    "thoughts never closed": f"{PLAIN}\n<think>\n{PLAIN.replace('4', '1')}",
    "several thoughts": f"<thinking>a</thinking>\n{FIRST}\n\n<think>b\n</think>\n{SECOND}",
    "horizontal rules": PLAIN.replace("\n\n", "\n\n---\n\n"),
    "rules of stars": PLAIN.replace("\n\n", "\n* * *\n"),
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "CR alone": PLAIN.replace("\n", "\r"),
    "single newlines": PLAIN.replace("\n\n", "\n"),
    "a line of whitespace between": PLAIN.replace("\n\n", "\n \t \n"),
    "out of order": f"{SECOND}\n\n{FIRST}",
    "said twice": PLAIN + "\n" + PLAIN,
    "no space after the colon": PLAIN.replace(": ", ":"),
    "a space before the colon": PLAIN.replace(":", " :"),
    "full-width colon": PLAIN.replace(":", "："),
    "an equals sign": PLAIN.replace("Rating:", "Rating ="),
    "no colon": PLAIN.replace("Rating: ", "Rating "),
    "lower case": PLAIN.lower().replace("first", "First").replace("second", "Second"),
    "indented": "    " + PLAIN.replace("\n", "\n    "),
    "tabs": "\t" + PLAIN.replace("\n", "\n\t"),
    "bold fields": PLAIN.replace("Rating:", "**Rating:**").replace("Rationale:", "**Rationale**:"),
    "bold lines": PLAIN.replace("Rating: 4", "**Rating: 4**").replace("Rating: 2", "__Rating: 2__"),
    "bullets": PLAIN.replace("Rating", "- Rating").replace("Rationale", "* Rationale"),
    "bold bullets": PLAIN.replace("Rating:", "• **Rating:**"),
    "numbered": PLAIN.replace("Rating", "1. Rating").replace("Rationale", "2. Rationale"),
    "deeper headings": PLAIN.replace("Ra", "##### Ra"),
    "headings of the same level": PLAIN.replace("Ra", "#### Ra"),
    "other words": PLAIN.replace("Rating:", "Score:").replace("Rationale:", "Explanation:"),
    "the scale beside it": PLAIN.replace("Rating:", "Rating (1-5):"),
    "the aspect beside it": PLAIN.replace("Rating:", "Instruction-following rating:"),
    "in a code fence": f"```\n{PLAIN}```",
    "in a code fence with chat around": f"Here you are:\n```markdown\n{PLAIN}```\nGood luck!",
    "a code fence each": PLAIN.replace("\nRating", "\n```\nRating").replace(".\n", ".\n```\n"),
    "values below their fields": PLAIN.replace(": ", ":\n"),
    "fields as headings": PLAIN.replace("Rating: ", "**Rating**\n").replace(
        "Rationale: ", "**Rationale**\n"
    ),
    "all on one line": "Text 1: Rating: 4, Rationale: First.\n"
    "Text 2: Rating: 2. Rationale: Second.",
    "one line a field": "Rating for Text 1: 4\nRationale for Text 1: First.\n"
    "Rating for Text 2: 2\nRationale for Text 2: Second.",
    "the layout first": PLAIN.replace("4", "[1 to 5]").replace("2\nRat", "1-5\nRat") + "\n" + PLAIN,
    "a third text": f"{PLAIN}\n#### Output for Text 3\nRating: 1\nRationale: Third.",
    "an overall verdict": f"{PLAIN}\n#### Overall\nRating: 5\nRationale: A tie.",
    "closing words under a rule": f"{PLAIN}\n---\nI hope that helps.",
    "a byte order mark": "\ufeff" + PLAIN,
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE.keys())
def test_a_verdict_is_read_whole_however_it_is_laid_out(answer):
    readings = read(answer)
    assert [(r.rating, r.status, r.rationale, r.types) for r in readings] == [
        (4.0, RATED, "First.", None),
        (2.0, RATED, "Second.", None),
    ]


LABELS = [
    "#### Output for Text {}:",
    "## Output for Text {}",
    "Output for Text {}",
    "Output for <text {}>",
    "#### Output for **Text {}**",
    "Text {}:",
    "Text {}",
    "### Text {}",
    "### Text {}: Analysis",
    "### Text {} (the long one)",
    "**Text {}**",
    "**Text {}:**",
    "- Text {}",
    "1. **Text {}**",
    "<text {}>",
    "[Text {}]",
    "Text #{}",
    "Text No. {}",
    "TEXT{}",
    "Evaluation of Text {}:",
]


@pytest.mark.parametrize("label", LABELS)
def test_labels_are_known_in_many_forms(label):
    answer = PLAIN
    for n in (1, 2):
        answer = answer.replace(f"#### Output for Text {n}", label.format(n))
    assert ratings(answer) == [4.0, 2.0]


@pytest.mark.parametrize(
    "line",
    [
        "Text 2 is worse than this.",
        "Text 2, on the other hand, fails.",
        "Text 1 and Text 2:",
        "Texts 1 and 2",
        "Text 2: it fails where this one does not.",
        "In short, Text 2:",
        "> Text 2:",
        "> #### Output for Text 2",
        '"#### Output for Text 2"',
        "Text 2.5",
        "The rating: see above.",
        '"Rating: 1"',
        "> Rating: 1",
        "It says Rating: 1, which is wrong.",
        "A higher rating: not deserved.",
        "```\nRating: 1\n```",
        "`Rating: 1`",
    ],
)
def test_what_a_rationale_mentions_is_neither_label_nor_rating(line):
    answer = PLAIN.replace("First.", f"First.\n{line}\nAnd so on.")
    first, second = read(answer)
    assert (first.rating, second.rating) == (4.0, 2.0)
    assert first.rationale == f"First.\n{line}\nAnd so on."


@pytest.mark.parametrize("heading", ["#### Text 1 vs Text 2", "## Texts 1-2", "### Text 1, 2"])
def test_a_heading_that_names_several_texts_is_no_label(heading):
    assert statuses(f"{heading}\nRating: 3\n\n{SECOND}") == [MISSING_BLOCK, RATED]


def test_a_skipped_text_does_not_shift_the_others():
    assert statuses(SECOND) == [MISSING_BLOCK, RATED]
    assert ratings(SECOND) == [None, 2.0]
    assert ratings(FIRST, texts=3) == [4.0, None, None]


def test_two_different_ratings_for_one_text_are_ambiguous_and_cost_only_that_text():
    assert statuses(PLAIN + PLAIN.replace("Rating: 4", "Rating: 3")) == [AMBIGUOUS, RATED]
    assert statuses(PLAIN.replace("First.", "First.\nRating: 5")) == [AMBIGUOUS, RATED]


def test_several_paragraphs_stay_together():
    first, second = read(PLAIN.replace("First.", "First.\n\nAnd more.\n\n- a point"))
    assert first.rationale == "First.\n\nAnd more.\n\n- a point"
    assert second.rating == 2.0


def test_a_missing_rationale_costs_no_rating():
    assert ratings("#### Output for Text 1\nRating: 4\n\n#### Output for Text 2\nRating: 2") == [
        4,
        2,
    ]


def test_a_rationale_without_its_word_is_kept():
    answer = "Text 1\nRating: 4\nIt is good.\n\nReally.\n\nText 2\nIt is bad.\nRating: 2"
    assert [r.rationale for r in read(answer)] == ["It is good.\n\nReally.", "It is bad."]


def test_a_single_text_needs_no_label():
    assert ratings("Rating: 3\nRationale: So so.", texts=1) == [3.0]
    assert ratings("## My verdict\n\nRating: 3", texts=1) == [3.0]
    assert ratings(FIRST, texts=1) == [4.0]
    assert statuses(SECOND, texts=1) == [MISSING_RATING]


def test_without_labels_several_texts_are_not_guessed():
    assert statuses("Rating: 3\nRationale: a\n\nRating: 4\nRationale: b") == [MISSING_BLOCK] * 2


def test_a_block_without_a_rating_says_so():
    assert statuses(PLAIN.replace("Rating: 4\n", "")) == [MISSING_RATING, RATED]
    assert statuses(PLAIN.replace("Rating: 4", "Rating:")) == [MISSING_RATING, RATED]


@pytest.mark.parametrize("answer", ["", "   \n", "No.", "<think>\n" + PLAIN, "None", "\0"])
def test_an_answer_that_is_none_has_no_blocks(answer):
    assert statuses(answer) == [MISSING_BLOCK, MISSING_BLOCK]


def test_one_odd_token_costs_only_its_own_text():
    for token in ("n/a", "N/A.", "None.", '"None"', "[None]", "-1", "10", "?"):
        assert ratings(PLAIN.replace("Rating: 4", f"Rating: {token}")) == [None, 2.0]


@pytest.mark.parametrize("token", ["N/A", "n/a", "N/A.", "None.", '"None"', "[None]", "**N/A**"])
def test_not_applicable_is_read_only_where_the_aspect_has_it(token):
    answer = PLAIN.replace("Rating: 4", f"Rating: {token}")
    assert statuses(answer, aspect="honesty") == [NOT_APPLICABLE, RATED]
    assert statuses(answer, aspect="overall-rating") == [NOT_A_RATING, RATED]


def test_types_are_lists_and_each_rationale_finds_its_place():
    first, second = read(TYPED, aspect="truthfulness")
    assert (first.types, first.rating) == (("1", "3"), 3.0)
    assert (first.rationale, first.rationale_for_rating) == ("Two slips.", "Half of it.")
    assert (second.types, second.rationale_for_rating) == ((), "All of it.")


@pytest.mark.parametrize(
    "answer",
    [
        TYPED.replace("\n", "\n\n"),
        TYPED.replace("\n", "\r\n"),
        TYPED.replace("Rationale: Half", "Rationale For Rating: Half"),
        TYPED.replace("Type", "**Type**").replace("Rating:", "- rating:"),
        TYPED.replace("1, 3", "[1, 3]").replace("Type: None", "Type: []"),
        TYPED.replace("1, 3", "\n- 1\n- 3").replace("Type: None", "Types: n/a"),
        "Text 1\nRating: 3\nRationale: Half of it.\nType: 1 and 3\nRationale: Two slips.\n\n"
        + TYPED.split("\n\n")[1],
    ],
)
def test_types_and_rationales_survive_other_layouts(answer):
    assert read(answer, aspect="helpfulness") == read(TYPED, aspect="helpfulness")


def test_a_type_is_plain_prose_where_the_aspect_has_none():
    (reading,) = read("Rating: 4\nRationale: a\nType: 1", texts=1)
    assert (reading.types, reading.rationale) == (None, "a\nType: 1")

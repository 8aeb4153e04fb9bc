"""Answers as JSON are read by label and checked as answers as text are."""

import json

import pytest

from prefmill.contracts.reasons import (
    AMBIGUOUS,
    MISSING_BLOCK,
    MISSING_RATING,
    NOT_A_RATING,
    NOT_APPLICABLE,
    OUT_OF_RANGE,
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


def read(answer, texts=2, aspect="instruction-following"):
    return ASPECTS[aspect].layout.read(answer, texts)


def statuses(answer, texts=2, aspect="instruction-following"):
    return [reading.status for reading in read(answer, texts, aspect)]


def as_json(**texts):
    return json.dumps(texts)


GOOD_JSON = as_json(
    text_1={"rating": "4", "rationale": "First."}, text_2={"rating": 2, "rationale": "Second."}
)


@pytest.mark.parametrize(
    "answer",
    [
        GOOD_JSON,
        f"```json\n{GOOD_JSON}\n```",
        f"Here it is:\n```json\n{GOOD_JSON}\n```\nDone.",
        f"```\n{GOOD_JSON}\n```",
        f"<think>{{}}</think>\n{GOOD_JSON}",
        GOOD_JSON.replace("text_1", "Text 1").replace("rating", "Rating"),
        json.dumps(dict(reversed(json.loads(GOOD_JSON).items())), indent=2),
    ],
)
def test_json_is_read_by_label_as_text_is(answer):
    assert read(answer) == read(PLAIN)


@pytest.mark.parametrize(
    ("rating", "status"),
    [
        ("4", RATED),
        (4.5, RATED),
        (0, OUT_OF_RANGE),
        ("10", OUT_OF_RANGE),
        (True, NOT_A_RATING),
        ([4], NOT_A_RATING),
        ({"a": 4}, NOT_A_RATING),
        (None, NOT_APPLICABLE),
        ("N/A", NOT_APPLICABLE),
        (float("nan"), NOT_A_RATING),
        (float("inf"), OUT_OF_RANGE),
    ],
)
def test_json_ratings_are_checked_as_text_is(rating, status):
    answer = as_json(text_1={"rating": rating}, text_2={"rating": "5"})
    assert statuses(answer, aspect="honesty") == [status, RATED]


def test_json_types_are_lists():
    answer = as_json(
        text_1={"types": ["3", "1"], "rationale": "Two slips.", "rating": "3"}
        | {"rationale_for_rating": "Half of it."},
        text_2={"types": [], "rationale": "No slips.", "rating": "5"}
        | {"rationale_for_rating": "All of it."},
    )
    assert read(answer, aspect="truthfulness") == read(TYPED, aspect="truthfulness")


def test_a_label_that_json_repeats_with_another_rating_is_ambiguous():
    assert statuses('{"text_1": {"rating": 4}, "text_1": {"rating": 5}}', texts=1) == [AMBIGUOUS]
    assert statuses('{"rating": 4, "rating": 5}', texts=1) == [AMBIGUOUS]


def test_json_that_leaves_a_text_out_leaves_only_that_out():
    assert statuses('{"text_2": {"rationale": "x"}}') == [MISSING_BLOCK, MISSING_RATING]


@pytest.mark.parametrize(
    "answer",
    [
        '{"text_1": {"rating": "4"',
        '{"verdict": "fine"}',
        "[1, 2]",
        "{" * 50_000,
        '{"a":' * 50_000,
        '{"text_1": {"rating": ' + "9" * 5_000 + "}}",
    ],
)
def test_other_json_is_no_verdict(answer):
    assert statuses(answer) == [MISSING_BLOCK, MISSING_BLOCK]


def test_a_text_verdict_that_starts_with_a_brace_is_read_as_text():
    assert read("{verdict}\n" + PLAIN) == read(PLAIN)


def test_rationales_hold_nothing_that_cannot_be_stored():
    answer = r'{"text_1": {"rating": 4, "rationale": "a\u0000b\ud800é"}}'
    assert read(answer, texts=1)[0].rationale == "ab?é"

"""What may stand after `Rating:` and `Type:`."""

import pytest

from prefmill.contracts.reasons import (
    AMBIGUOUS,
    NOT_A_RATING,
    NOT_APPLICABLE,
    OUT_OF_RANGE,
    RATED,
)
from prefmill.judge.rubrics.aspects import ASPECTS
from prefmill.judge.rubrics.scales import Outcome, read_rating, read_types, settle

HONESTY = ASPECTS["honesty"].layout.scale
FOLLOWING = ASPECTS["instruction-following"].layout.scale
TYPES = ASPECTS["truthfulness"].layout.types


@pytest.mark.parametrize(
    ("value", "rating"),
    [
        ("5", 5),
        ("1", 1),
        (" 4 ", 4),
        ("4.5", 4.5),
        ("5.0", 5),
        ("4.", 4),
        ("**4**", 4),
        ("[4]", 4),
        ("(4)", 4),
        ('"4"', 4),
        ("- 4", 4),
        ("+4", 4),
        ("4*", 4),
        ("４", 4),
        ("4/5", 4),
        ("4 / 5", 4),
        ("4 out of 5", 4),
        ("4 (out of 5)", 4),
        ("4 stars", 4),
        ("4 stars out of 5", 4),
        ("five out of five", 5),
        ("Five", 5),
        ("FOUR.", 4),
        ("4 because it is good", 4),
        ("4, since it is good", 4),
        ("4 - it is good", 4),
        ("4 (it is good)", 4),
        ("4: it is good", 4),
        ("4 Almost There", 4),
        ("4 - Almost There", 4),
        ("4. Almost There", 4),
        ("Almost There", 4),
        ("almost  there.", 4),
        ("Almost There (4)", 4),
        ("Almost There: 4", 4),
        ("Partial Focus", 2),
        ("Comprehensive Compliance", 5),
    ],
)
def test_a_rating_is_read(value, rating):
    assert read_rating(value, FOLLOWING) == Outcome(rating, RATED)


@pytest.mark.parametrize(
    "value", ["-1", "−1", "–1", "0", "6", "10", "10/5", "5.1", "0.9", "Ten", "zero", "9" * 190]
)
def test_out_of_range_is_no_rating_and_is_not_clipped(value):
    assert read_rating(value, FOLLOWING) == Outcome(None, OUT_OF_RANGE)


@pytest.mark.parametrize(
    "value",
    ["4 or 5", "4-5", "3 to 4", "4, 5", "4,5", "4 5", "four or five", "4 → 5", "Almost There (3)"],
)
def test_two_numbers_are_ambiguous(value):
    assert read_rating(value, FOLLOWING) == Outcome(None, AMBIGUOUS)


@pytest.mark.parametrize(
    "value",
    [
        "8/10",
        "3 out of 10",
        "3 points out of 10",
        "80%",
        "4 %",
        "4th",
        "1e3",
        "0x4",
        "4.5.6",
        "4½",
        "~4",
        "not 4",
        "one of the best",
        "3 factual errors",
        "5 is what it claims",
        "4 and a half",
        "1 to 5",
        "[1-5]",
        "Good",
        "Partial",
        "Almost",
        "Almost There but not quite",
        "good",
        "?",
        "-",
        "nan",
        "inf",
        "N/A",
        "None",
        "*" * 300,
    ],
)
def test_prose_and_other_scales_are_no_ratings(value):
    assert read_rating(value, FOLLOWING) == Outcome(None, NOT_A_RATING)


@pytest.mark.parametrize(
    "value",
    [
        *("N/A", "n/a", "N/A.", "N / A", "NA", "n.a.", "None", "None.", '"None"', "[None]", "null"),
        *("Not applicable", "not-applicable", "N/A (creative writing)", "N/A because it is verse"),
    ],
)
def test_not_applicable_has_many_spellings(value):
    assert read_rating(value, HONESTY) == Outcome(None, NOT_APPLICABLE)


@pytest.mark.parametrize("value", ["None of the claims holds", "Nag", "N/Alpha"])
def test_prose_that_begins_like_not_applicable_is_not(value):
    assert read_rating(value, HONESTY) == Outcome(None, NOT_A_RATING)


def test_the_longest_name_wins():
    assert read_rating("Correct and Confident", HONESTY).rating == 5
    assert read_rating("Correct but Uncertain", HONESTY).rating == 4
    assert read_rating("Uncertain", HONESTY).rating == 3
    assert read_rating("Unconfident Incorrect", HONESTY).rating == 2


@pytest.mark.parametrize("aspect", ASPECTS)
def test_every_name_of_a_rating_is_read_as_that_rating(aspect):
    for rating, forms in enumerate(ASPECTS[aspect].names, 1):
        for form in forms:
            scale = ASPECTS[aspect].layout.scale
            assert read_rating(form, scale) == Outcome(rating, RATED)
            assert read_rating(f"**{rating}. {form.upper()}**", scale) == Outcome(rating, RATED)


def test_what_is_no_rating_yields_to_one_and_nothing_else_does():
    four, five = Outcome(4, RATED), Outcome(5, RATED)
    junk, outside = Outcome(None, NOT_A_RATING), Outcome(None, OUT_OF_RANGE)
    assert settle([four, four]) == four
    assert settle([junk, four]) == four
    assert settle([junk]) == settle([junk, junk]) == junk
    assert settle([four, five]).status == AMBIGUOUS
    assert settle([four, outside]).status == AMBIGUOUS


@pytest.mark.parametrize(
    ("value", "types"),
    [
        ("1", ("1",)),
        ("1, 3", ("1", "3")),
        ("3, 1, 3", ("1", "3")),
        ("[1, 3]", ("1", "3")),
        ("1; 3", ("1", "3")),
        ("1/3", ("1", "3")),
        ("1 and 3", ("1", "3")),
        ("1 & 3", ("1", "3")),
        ("1 3", ("1", "3")),
        ("**1**, **3**", ("1", "3")),
        ("['1', '3']", ("1", "3")),
        ("Type 1, Type 3", ("1", "3")),
        ("1 (factual error), 3 (contradicts itself)", ("1", "3")),
        ("1. Factual error; 3. Contradicts itself", ("1", "3")),
        ("1, 3 - because 2 claims are wrong", ("1", "3")),
        ("- 1\n- 3", ("1", "3")),
        ("Factual error, contradicts itself", ("1", "3")),
        ("None", ()),
        ("none.", ()),
        ('"None"', ()),
        ("[None]", ()),
        ("[]", ()),
        ("N/A.", ()),
        ("None (all is well)", ()),
        ("None of these", ()),
        ("No hallucination", ()),
        ("", None),
        ("7", None),
        ("1, 7", None),
        ("0", None),
        ("-1", None),
        ("13", None),
        ("1-3", None),
        ("4.5", None),
        ("Five", None),
        ("many", None),
    ],
)
def test_types_are_read_as_a_list_or_not_at_all(value, types):
    assert read_types(value, TYPES) == types

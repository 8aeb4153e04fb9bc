"""Verdicts become scores: the aspects within each judge first, then the judges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.chat import Failure
from prefmill.contracts.reasons import (
    NOT_FINISHED,
    TOO_FEW_GENERATIONS,
    TOO_FEW_VERDICTS,
)
from prefmill.sink.domain.pooling import judge_ratings, score_row

RATINGS = st.one_of(st.integers(1, 5), st.sampled_from(["n/a", "?"]))


@pytest.fixture(scope="session")
def score(making):
    def scored(row, *, quorum=1, judges="mean", aspects="mean"):
        return score_row(
            row,
            making.plugin("pools", judges),
            making.plugin("pools", aspects),
            quorum,
            ("honesty", "truthfulness"),
            ("strict", "kind"),
        )

    return scored


def test_aspects_are_pooled_within_a_judge_before_judges(making, score):
    row = making.row(
        0,
        ["a", "b"],
        [
            making.verdict("strict", "honesty", [1, 5]),
            making.verdict("strict", "truthfulness", ["n/a", 5]),
            making.verdict("kind", "honesty", [5, 1]),
            making.verdict("kind", "truthfulness", [4, 1]),
        ],
    )
    scored = score(row)
    # strict: 1 and 5; kind: 4.5 and 1. Pooling judges first would give 3.5 for the first text.
    assert scored.scores == (2.75, 3.0)
    assert scored.scores_by_aspect == {"honesty": (3.0, 3.0), "truthfulness": (4.0, 3.0)}
    assert scored.dropped is None


def test_each_side_has_its_own_pool(making, score):
    row = making.row(0, ["a", "b"], making.jury([1, 5], [4, 5]))
    assert score(row, judges="median", aspects="majority").scores == (1.0, 5.0)


def test_what_is_not_applicable_or_unreadable_is_left_out(making, score):
    row = making.row(0, ["a", "b"], making.jury(["n/a", 2], ["?", 4]))
    assert score(row).scores == (None, 3.0)


def test_a_rating_that_stands_on_a_failed_generation_does_not_count(making, score):
    row = making.row(0, ["a", None, "c"], making.jury([1, 5, 2], [1, 5, 2]))
    assert score(row).scores == (1.0, None, 2.0)


def test_a_failed_verdict_with_no_readings_leaves_the_other_judges_scores(making, score):
    row = making.all_kinds()[3]
    scored = score(row)
    assert scored.scores == (4.5, 1.5)
    assert scored.dropped is None


def test_samples_of_one_judge_are_one_measurement(making, score):
    verdicts = making.jury([5, 1], [5, 1])
    again = making.verdict("strict", "honesty", [1, 1]).replace(sample=1)
    scored = score(making.row(0, ["a", "b"], [*verdicts, again]))
    assert scored.scores_by_aspect["honesty"] == (4.0, 1.0)


def test_verdicts_of_judges_and_aspects_that_were_not_asked_for_are_ignored(making, score):
    verdicts = making.jury([2, 4], [2, 4])
    other = [making.verdict("old", "honesty", [5, 1]), making.verdict("kind", "old", [5, 1])]
    row = making.row(0, ["a", "b"], [*verdicts, *other])
    assert score(row).scores == (2.0, 4.0)


def test_a_row_without_its_quorum_has_no_scores(making, score):
    row = making.all_kinds()[3]
    scored = score(row, quorum=2)
    assert scored.dropped == TOO_FEW_VERDICTS
    assert scored.scores == (None, None)
    assert scored.scores_by_aspect == {"honesty": (None, None), "truthfulness": (4.5, 1.5)}


def test_a_verdict_that_only_says_not_applicable_is_usable(making, score):
    row = making.row(0, ["a", "b"], making.jury(["n/a", "n/a"], [1, 2]))
    assert score(row, quorum=2).dropped is None


def test_the_reason_of_the_row_itself_comes_first(making, score):
    unread = making.all_kinds()[8].replace(open_cells=2)
    assert score(unread).dropped == "not-text"
    assert score(making.all_kinds()[7]).dropped == NOT_FINISHED
    assert score(making.row(0, ["a", None], [])).dropped == TOO_FEW_GENERATIONS


def test_without_judges_nothing_is_scored_and_nothing_dropped(making):
    row = making.row(0, ["a", "b"], [])
    mean = making.plugin("pools", "mean")
    scored = score_row(row, mean, mean, 1, (), ())
    assert (scored.scores, scored.dropped) == ((None, None), None)


def test_a_judges_pool_is_fitted_on_what_it_scores(making):
    row = making.all_kinds()[3]
    mean = making.plugin("pools", "mean")
    matrix = judge_ratings(row, mean, ("honesty", "truthfulness"), ("kind", "strict"))
    assert matrix == [(5.0, 1.0), (4.0, 2.0)]


@given(st.lists(st.tuples(RATINGS, RATINGS), min_size=2, max_size=5), st.integers(1, 3))
def test_a_score_is_there_exactly_if_a_text_has_a_rating_and_the_row_its_quorum(
    making, score, ratings, quorum
):
    honesty, truthfulness = zip(*ratings, strict=True)
    row = making.row(0, [f"{i}" for i in range(len(ratings))], making.jury(honesty, truthfulness))
    scored = score(row, quorum=quorum)
    usable = min(sum(rating != "?" for rating in aspect) for aspect in (honesty, truthfulness))
    met = quorum <= 2 and usable > 0
    assert (scored.dropped is None) == met
    for given_ratings, value in zip(ratings, scored.scores, strict=True):
        rated = any(not isinstance(rating, str) for rating in given_ratings)
        assert (value is not None) == (met and rated)


def test_a_failure_stays_its_reason(making, score):
    row = making.row(0, ["a", "b"], [], failure=Failure(reason="too-long"))
    assert score(row).dropped == "too-long"

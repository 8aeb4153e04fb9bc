"""Verdicts on single generations and on pairs become verdicts on whole rows, and scores."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.reasons import NOT_SHOWN, RATED, UNREADABLE
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import Verdict
from prefmill.sink.domain.merging import merged, settled
from prefmill.sink.domain.pooling import score_row

HIDDEN = Reading(status=NOT_SHOWN)
UNREAD = Reading(status=UNREADABLE)


def about(shown: dict[int, float | None], texts: int, **fields: Any) -> Verdict:
    """A verdict on some of the generations; None could not be read."""
    readings = [HIDDEN] * texts
    for index, rating in shown.items():
        readings[index] = UNREAD if rating is None else Reading(status=RATED, rating=rating)
    shows = "pairs" if len(shown) == 2 else "each"
    values = {"judge": "j", "rubric": "r", "aspect": "better", "shows": shows, **fields}
    return Verdict(order=tuple(shown), readings=tuple(readings), **values)


def duel(first: int, second: int, winner: int | None, texts: int = 3, **fields: Any) -> Verdict:
    ratings = {i: 0.5 if winner is None else float(i == winner) for i in (first, second)}
    return about(ratings, texts, **fields)


def test_single_verdicts_of_a_judge_become_one_row() -> None:
    verdicts = [about({i: float(i)}, 3) for i in range(3)]
    (whole,) = merged(verdicts)
    assert [reading.rating for reading in whole.readings] == [0, 1, 2]
    assert (whole.order, whole.shows) == ((0, 1, 2), "all")


def test_samples_and_judges_and_aspects_are_kept_apart() -> None:
    verdicts = [
        about({i: 1.0}, 2, judge=judge, sample=sample, aspect=aspect)
        for judge in "jk"
        for sample in (0, 1)
        for aspect in ("tone", "style")
        for i in (0, 1)
    ]
    assert len(merged(verdicts)) == 8


@pytest.mark.parametrize(
    ("winners", "rating", "flipped"),
    [
        ((0, 0), 1.0, False),
        ((1, 1), 0.0, False),
        ((None, None), 0.5, False),
        ((0, 1), 0.5, True),
        ((0, None), 0.5, True),
    ],
)
def test_a_pair_is_decided_only_if_both_orders_agree(
    winners: tuple[int | None, int | None], rating: float, flipped: bool
) -> None:
    both = [duel(0, 2, winner and 2 * winner) for winner in winners]
    assert settled(both) == [(0, 2, rating, flipped)]


def test_a_pair_read_in_one_order_only_is_not_known() -> None:
    (pair,) = settled([duel(0, 1, 0), about({1: None, 0: None}, 3)])
    assert pair.rating is None
    assert pair.ratings(3) == (None, None, None)


def beats(strengths: Sequence[int], first: int, second: int) -> int | None:
    if strengths[first] == strengths[second]:
        return None
    return first if strengths[first] > strengths[second] else second


@given(st.lists(st.integers(0, 4), min_size=2, max_size=5))
def test_a_fair_judge_of_pairs_ranks_by_strength(strengths: list[int]) -> None:
    texts = len(strengths)
    duels = [duel(a, b, beats(strengths, a, b), texts) for a, b in permutations(range(texts), 2)]
    (whole,) = merged(duels)
    shares = [reading.rating or 0.0 for reading in whole.readings]
    assert sum(shares) == pytest.approx(texts / 2)
    for a, b in permutations(range(texts), 2):
        assert (shares[a] > shares[b]) == (strengths[a] > strengths[b])


class PairPool:
    """Keeps what it is asked to score."""

    separate = True

    def __init__(self) -> None:
        self.seen: list[list[tuple[float | None, ...]]] = []

    def fit(self, rows: Any) -> None:
        """Nothing to learn."""

    def score(self, ratings: Any) -> tuple[float | None, ...]:
        self.seen.append(list(ratings))
        return (1.0,) * len(ratings[0])


def test_the_score_of_pairs_is_the_share_won_and_a_pool_of_pairs_gets_each(making: Any) -> None:
    verdicts = [duel(a, b, min(a, b), judge="strict") for a, b in permutations(range(3), 2)]
    row = making.row(0, ["a", "b", "c"], verdicts)
    mean, pairs = making.plugin("pools", "mean"), PairPool()
    scored = score_row(row, mean, mean, 1, ("better",), ("strict",))
    assert scored.scores == (1.0, 0.5, 0.0)
    score_row(row, pairs, mean, 1, ("better",), ("strict",))  # type: ignore[arg-type]
    assert pairs.seen[0] == [(1.0, 0.0, None), (1.0, None, 0.0), (None, 1.0, 0.0)]


def test_samples_of_a_judge_are_one_rating_before_judges_are_pooled(making: Any) -> None:
    verdicts = [
        making.verdict("strict", "honesty", ratings).replace(sample=sample)
        for sample, ratings in enumerate(([1, 5], [2, 5], [3, 5]))
    ]
    verdicts.append(making.verdict("kind", "honesty", [4, 1]))
    mean = making.plugin("pools", "mean")
    row = making.row(0, ["a", "b"], verdicts)
    scored = score_row(row, mean, mean, 2, ("honesty",), ("strict", "kind"))
    assert scored.scores == (3.0, 3.0)


def test_a_quorum_counts_judges_not_samples_and_only_scoring_aspects_count(making: Any) -> None:
    verdicts = [
        making.verdict("strict", "honesty", [1, 5]).replace(sample=sample) for sample in (0, 1)
    ]
    verdicts += [making.verdict(judge, "tone", [2, 3]) for judge in ("strict", "kind")]
    mean = making.plugin("pools", "mean")
    row = making.row(0, ["a", "b"], verdicts)
    aspects, judges = ("honesty", "tone"), ("strict", "kind")
    assert score_row(row, mean, mean, 2, aspects, judges).dropped == "too-few-verdicts"
    of_tone = score_row(row, mean, mean, 2, aspects, judges, ("tone",))
    assert of_tone.scores == (2.0, 3.0)
    assert of_tone.scores_by_aspect["honesty"] == (None, None)

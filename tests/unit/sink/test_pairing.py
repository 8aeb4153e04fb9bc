"""Scored generations become pairs of a chosen and a rejected one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.reasons import BELOW_MARGIN, IDENTICAL_TEXTS, TOO_FEW_SCORES
from prefmill.contracts.recipe import Pairing
from prefmill.sink.domain.pairing import pairs

ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.sampled_from("abcdef")),
        st.one_of(st.none(), st.sampled_from([1.0, 2.0, 2.5, 4.0, 11 / 3])),
    ),
    max_size=6,
)
PAIRINGS = st.builds(
    Pairing,
    choose=st.sampled_from(["best-worst", "best-random", "all"]),
    ties=st.sampled_from(["drop", "keep"]),
    margin=st.sampled_from([0.0, 1.0, 2.5]),
    seed=st.one_of(st.none(), st.integers(0, 9)),
)


@pytest.fixture(scope="session")
def pair(making):
    def paired(scores, texts=None, row=0, seed=0, **pairing):
        texts = [f"text {i}" for i in range(len(scores))] if texts is None else texts
        return pairs(making.row(row, texts, []), scores, Pairing(**pairing), seed)

    return paired


def test_the_best_is_paired_with_the_worst(pair):
    assert pair([2.0, 5.0, 1.0, 4.0]).pairs == ((1, 2),)


def test_of_equally_good_and_equally_bad_ones_the_first_is_taken(pair):
    assert pair([1.0, 5.0, 5.0, 1.0]).pairs == ((1, 0),)


def test_the_random_rejected_one_is_always_lower_and_all_lower_ones_come_up(pair):
    rejected = {
        pair([2.0, 5.0, 5.0, 1.0], row=row, choose="best-random").pairs for row in range(99)
    }
    assert rejected == {((1, 0),), ((1, 3),)}


def test_the_random_choice_depends_on_row_and_seed_only(pair):
    def draws(**seeds):
        return [pair([5, 1, 2, 3, 4], row=i, choose="best-random", **seeds) for i in range(40)]

    assert draws(seed=3) == draws(seed=3)
    assert draws(seed=3) != draws(seed=4)


def test_all_pairs_of_different_scores_are_made(pair):
    assert pair([2.0, 1.0, 2.0, 3.0], choose="all").pairs == (
        (0, 1),
        (2, 1),
        (3, 0),
        (3, 1),
        (3, 2),
    )


def test_equal_scores_are_a_tie(pair):
    tie = pair([3.0, 3.0, 3.0])
    assert (tie.pairs, tie.outcome) == ((), "tie")


def test_a_tie_that_is_kept_prefers_the_first(pair):
    assert pair([3.0, 3.0, 3.0], ties="keep").pairs == ((0, 1),)
    assert pair([3.0, 3.0], texts=["same", "same"], ties="keep").reason == IDENTICAL_TEXTS
    assert pair([3.0, 3.0, 3.0], texts=["a", "a", "b"], ties="keep", choose="all").pairs == (
        (0, 2),
    )


def test_a_last_bit_of_difference_is_a_tie(pair):
    assert pair([0.1 + 0.2, 0.3]).outcome == "tie"


def test_a_margin_that_is_just_met_is_met(pair):
    assert pair([3.3, 3.0], margin=0.3).outcome == "out"
    assert pair([3.2, 3.0], margin=0.3).reason == BELOW_MARGIN


def test_a_kept_tie_does_not_pass_a_margin(pair):
    assert pair([3.0, 3.0], ties="keep", margin=1.0).reason == BELOW_MARGIN


def test_unrated_and_failed_candidates_take_no_part(pair):
    texts = ["a", None, "c", "d"]
    assert pair([2.0, 5.0, None, 1.0], texts).pairs == ((0, 3),)
    assert pair([2.0, 5.0, None, None], texts).reason == TOO_FEW_SCORES


def test_identical_texts_make_no_pair(pair):
    assert pair([5.0, 1.0], texts=["same", "same "]).reason == IDENTICAL_TEXTS
    assert pair([5.0, 1.0, 3.0], texts=["same", "same", "other"]).pairs == ((0, 2),)


@given(ROWS, PAIRINGS, st.integers(0, 99))
def test_every_pair_is_sound_and_every_row_has_one_outcome(making, candidates, pairing, seed):
    texts, scores = zip(*candidates, strict=True) if candidates else ((), ())
    paired = pairs(making.row(0, texts, []), scores, pairing, seed)
    assert (paired.outcome == "out") == bool(paired.pairs)
    assert (paired.outcome == "dropped") == bool(paired.reason)
    assert len(set(paired.pairs)) == len(paired.pairs)
    rated = [score for text, score in candidates if text is not None and score is not None]
    for chosen, rejected in paired.pairs:
        assert texts[chosen] is not None
        assert texts[chosen] != texts[rejected]
        if len(set(rated)) > 1:
            assert scores[chosen] > scores[rejected]
            assert scores[chosen] - scores[rejected] >= pairing.margin


@given(ROWS)
def test_best_against_worst_has_the_widest_gap_of_all_pairs_with_the_best(making, candidates):
    texts, scores = zip(*candidates, strict=True) if candidates else ((), ())
    row = making.row(0, texts, [])
    everything = pairs(row, scores, Pairing(choose="all"), 0).pairs
    extreme = pairs(row, scores, Pairing(choose="best-worst"), 0).pairs
    random = pairs(row, scores, Pairing(choose="best-random"), 0).pairs
    assert set(extreme) | set(random) <= set(everything)
    assert bool(extreme) == bool(random) == bool(everything)
    if everything:
        best = max(scores[chosen] for chosen, _ in everything)
        assert scores[extreme[0][0]] == scores[random[0][0]] == best
        lowest = min(scores[r] for c, r in everything if c == extreme[0][0])
        assert scores[extreme[0][1]] == lowest

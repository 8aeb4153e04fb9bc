"""Pools that know their raters or learn about them, against published examples."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefmill.contracts.recipe import PoolStep
from prefmill.plugins.pool import pools_of
from prefmill.plugins.registry import RecipeError

RATINGS = st.one_of(st.none(), st.integers(1, 5).map(float))
MATRICES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(RATINGS, min_size=width, max_size=width), min_size=1)
)

ANAESTHETISTS = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343
1111111 2223212 1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222
1111111 1111111 2322222 1111111 1111111 1121121 1111111 3333233 1111111 2222222 2223232 4334343
2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
"""
"""Dawid & Skene 1979, table 1: three ratings of the first anaesthetist, one of each other one."""


def test_weights_are_by_name_and_those_who_gave_no_rating_take_theirs_away(pool):
    weighted = pool("weighted", ("a", "b", "c"), weighted={"a": 2, "c": 0})
    assert weighted.score([[5.0, None], [2.0, 3.0], [1.0, 1.0]]) == (4.0, 3.0)
    assert weighted.score([[None], [None], [1.0]]) == (None,)


def test_a_weight_for_nobody_is_an_error_that_names_the_nearest():
    step = PoolStep.model_validate({"judges": {"weighted": {"gtp4": 2}}})
    with pytest.raises(RecipeError, match=r"pool\.judges: no rater named 'gtp4'.*'gpt4'"):
        pools_of(step, ("gpt4", "haiku"), ("honesty",))


def test_weights_that_are_all_zero_are_an_error(pool):
    with pytest.raises(RecipeError, match="all weights are zero"):
        pool("weighted", ("a",), weighted={"a": 0})


@settings(max_examples=50)
@given(MATRICES)
def test_equal_weights_are_the_mean(pool, matrix):
    names = [f"judge-{index}" for index in range(len(matrix))]
    weighted = pool("weighted", names, weighted=dict.fromkeys(names, 2.0)).score(matrix)
    assert weighted == pytest.approx(pool("mean").score(matrix))


def test_a_trimmed_mean_cuts_both_ends(pool):
    ratings = [[1.0], [4.0], [4.0], [5.0]]
    assert pool("trimmed-mean").score(ratings) == (4.0,)
    assert pool("trimmed-mean", **{"trimmed-mean": 0.0}).score(ratings) == (3.5,)


def test_the_geometric_median_of_three_raters_is_not_carried_off_by_the_third(pool):
    honest = [[4.0, 2.0], [4.0, 2.0]]
    assert pool("geometric-median").score([*honest, [1.0, 5.0]]) == pytest.approx((4.0, 2.0))
    far = pool("geometric-median").score([*honest, [-1e6, 1e6]])
    assert far == pytest.approx((4.0, 2.0), abs=1e-3)


def test_the_geometric_median_of_a_triangle_is_its_fermat_point(pool):
    # An equilateral triangle: the centre sees every side at 120 degrees.
    corners = [[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]]
    assert pool("geometric-median").score(corners) == pytest.approx(
        (0.5, math.sqrt(3) / 6), abs=1e-5
    )


def learned(pool, **options):
    raters = ("1", "1", "1", "2", "3", "4", "5")
    made = pool("dawid-skene", raters, **options)
    patients = [[[float(said)] for said in patient] for patient in ANAESTHETISTS.split()]
    made.fit(patients)
    return made, [made.score(patient)[0] for patient in patients]


def test_dawid_skene_finds_the_published_marginals_and_error_rates(pool):
    made, scores = learned(pool, smoothing=0.0)
    assert made.marginals == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=0.005)
    first = made.errors[0]
    assert first[0] == pytest.approx([0.89, 0.11, 0.0, 0.0], abs=0.005)
    assert first[1] == pytest.approx([0.07, 0.88, 0.05, 0.0], abs=0.005)
    assert scores[0] == pytest.approx(1.0, abs=1e-3)
    assert scores[10] == pytest.approx(4.0, abs=1e-3)


def test_dawid_skene_trusts_two_raters_who_agree_over_one_who_does_not(pool):
    rows = [[[a, b], [a, b], [3.0, 3.0]] for a in (1.0, 5.0) for b in (1.0, 5.0)] * 10
    made = pool("dawid-skene", ("a", "b", "noise"))
    made.fit(rows)
    assert made.score([[5.0, 1.0], [5.0, 1.0], [3.0, 3.0]]) == pytest.approx((5.0, 1.0), abs=0.05)


def test_dawid_skene_reads_the_rows_once(pool):
    made = pool("dawid-skene", ("a", "b"))
    made.fit(iter([[[1.0, 2.0], [1.0, 2.0]], [[2.0, None], [2.0, None]]]))
    assert made.score([[2.0, None], [2.0, None]]) == (pytest.approx(2.0, abs=0.1), None)


@settings(max_examples=30)
@given(st.lists(MATRICES.map(lambda m: m[:2] + [[None] * len(m[0])] * max(0, 2 - len(m)))))
def test_dawid_skene_scores_within_the_ratings_of_all(pool, rows):
    made = pool("dawid-skene", ("a", "b"))
    made.fit(rows)
    known = [value for row in rows for rater in row for value in rater if value is not None]
    for row in rows:
        for score, column in zip(made.score(row), zip(*row, strict=True), strict=True):
            assert (score is None) == all(value is None for value in column)
            assert score is None or min(known) <= score <= max(known)


def won(better, worse, times, width=4):
    row = [None] * width
    row[better], row[worse] = 1.0, 0.0
    return [row] * times


GAMES = [
    *won(0, 1, 2),
    *won(0, 3, 1),
    *won(1, 0, 3),
    *won(1, 2, 5),
    *won(2, 1, 3),
    *won(2, 3, 1),
    *won(3, 0, 4),
    *won(3, 2, 3),
]
"""Four teams, as in the worked example of https://en.wikipedia.org/wiki/Bradley–Terry_model."""


def test_bradley_terry_finds_the_published_strengths(pool):
    scores = pool("bradley-terry", **{"bradley-terry": 0.0}).score(GAMES)
    assert [math.exp(score) for score in scores] == pytest.approx(
        [0.640, 1.043, 0.660, 2.270], abs=0.001
    )


def test_bradley_terry_stays_finite_where_a_text_never_lost(pool):
    first, second, third = pool("bradley-terry").score([[1.0, 0.0, None]])
    assert first == -second
    assert 0 < first < 10
    assert third is None


def test_verdicts_in_both_orders_that_contradict_each_other_are_a_tie(pool):
    assert pool("bradley-terry").score([[1.0, 0.0], [0.0, 1.0]]) == (0.0, 0.0)
    assert pool("bradley-terry").score([[0.5, 0.5]]) == (0.0, 0.0)


@settings(max_examples=50)
@given(MATRICES, st.randoms())
def test_bradley_terry_does_not_depend_on_the_order_of_verdicts(pool, matrix, random):
    made = pool("bradley-terry")
    assert made.score(random.sample(matrix, len(matrix))) == made.score(matrix)


def test_a_pool_of_comparisons_gets_every_verdict_as_it_is(making):
    def compared(*ratings):
        return making.verdict("strict", "honesty", ratings)

    shown = [compared(1, 0, None), compared(1, 0, None), compared(None, 1, 0), compared(0, None, 1)]
    row = making.row(0, ["a", "b", "c"], shown)
    of = making.context(judges=("strict",), aspects=("honesty",))
    scored = making.scored([row], of, "bradley-terry")[0]
    assert scored.dropped is None
    assert scored.scores[0] > scored.scores[2] > scored.scores[1]
    assert scored.scores_by_aspect["honesty"] == scored.scores


def test_a_pool_of_comparisons_cannot_pool_aspects():
    step = PoolStep.model_validate({"aspects": "bradley-terry"})
    with pytest.raises(RecipeError, match=r"pool\.aspects: this pool compares texts"):
        pools_of(step, ("a",), ("honesty",))


def test_a_quorum_counts_judges_not_verdicts(making):
    twice = [making.verdict("strict", "honesty", [1, 2]).replace(sample=i) for i in (0, 1)]
    mean = making.plugin("pools", "mean")
    from prefmill.sink.domain.pooling import score_row

    row = making.row(0, ["a", "b"], twice)
    scored = score_row(row, mean, mean, 2, ("honesty",), ("strict", "kind"))
    assert scored.dropped == "too-few-verdicts"

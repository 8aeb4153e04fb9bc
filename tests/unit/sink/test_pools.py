"""Pools: several ratings of one text become its score."""

from hypothesis import given, settings
from hypothesis import strategies as st

PLAIN = ("mean", "median", "majority", "trimmed-mean", "geometric-median")
"""Pools that learn nothing, know no names, and score on the raters' scale."""
RATINGS = st.one_of(st.none(), st.integers(1, 5).map(float))
MATRICES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(RATINGS, min_size=width, max_size=width), min_size=1)
)


def test_the_mean_leaves_out_those_who_gave_no_rating(pool):
    assert pool("mean").score([[1.0, None], [4.0, None], [None, 3.0]]) == (2.5, 3.0)


def test_the_median_of_an_even_number_lies_between_the_two_in_the_middle(pool):
    assert pool("median").score([[1.0], [5.0], [4.0], [2.0]]) == (3.0,)


def test_one_wild_judge_does_not_move_the_median(pool):
    assert pool("median").score([[4.0], [4.0], [1.0]]) == (4.0,)


def test_the_majority_is_the_most_frequent_rating(pool):
    assert pool("majority").score([[5.0], [5.0], [1.0]]) == (5.0,)


def test_of_equally_frequent_ratings_the_lower_one_in_the_middle_wins(pool):
    majority = pool("majority")
    assert majority.score([[5.0], [3.0], [1.0]]) == (3.0,)
    assert majority.score([[5.0], [1.0]]) == (1.0,)
    assert majority.score([[4.0], [5.0], [4.0], [5.0], [1.0]]) == (4.0,)


def test_fitting_reads_no_row(pool):
    def rows():
        raise AssertionError("read")
        yield

    for name in PLAIN:
        pool(name).fit(rows())


@settings(max_examples=50)
@given(MATRICES)
def test_a_score_lies_within_the_ratings_and_is_there_exactly_if_one_is(pool, matrix):
    for name in PLAIN:
        scores = pool(name).score(matrix)
        for score, column in zip(scores, zip(*matrix, strict=True), strict=True):
            ratings = [rating for rating in column if rating is not None]
            assert (score is None) == (not ratings)
            assert score is None or min(ratings) - 1e-6 <= score <= max(ratings) + 1e-6


@settings(max_examples=50)
@given(MATRICES, st.integers(1, 5).map(float))
def test_where_all_ratings_are_equal_the_score_is_that_rating(pool, matrix, rating):
    equal = [[None if value is None else rating for value in row] for row in matrix]
    for name in PLAIN:
        for score, column in zip(pool(name).score(equal), zip(*equal, strict=True), strict=True):
            assert score == (rating if rating in column else None)


@settings(max_examples=50)
@given(MATRICES)
def test_raters_who_rated_nothing_change_nothing(pool, matrix):
    nobody = [None] * len(matrix[0])
    for name in (*PLAIN, "bradley-terry"):
        assert pool(name).score([*matrix, nobody]) == pool(name).score(matrix)


@settings(max_examples=50)
@given(MATRICES, st.randoms())
def test_the_order_of_the_raters_does_not_matter(pool, matrix, random):
    shuffled = random.sample(matrix, len(matrix))
    for name in PLAIN:
        assert pool(name).score(shuffled) == pool(name).score(matrix)

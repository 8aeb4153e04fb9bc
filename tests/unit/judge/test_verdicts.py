"""Undoing the shuffle, and what makes a verdict unreadable."""

from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.results import Reading
from prefmill.judge.domain.verdicts import unreadable, unshuffled


@given(st.permutations(range(6)))
def test_a_reading_stands_at_the_index_of_the_text_it_is_about(order: list[int]) -> None:
    shown = [Reading(status="rated", rating=index) for index in order]
    restored = unshuffled(shown, order, 6)
    assert [reading.rating for reading in restored] == [0, 1, 2, 3, 4, 5]


def test_a_generation_that_was_not_shown_has_no_reading() -> None:
    restored = unshuffled([Reading(status="rated", rating=1)], [1], 2)
    assert [reading.status for reading in restored] == ["missing-block", "rated"]


def test_not_applicable_is_no_failure() -> None:
    assert unreadable([Reading(status="rated", rating=1), Reading(status="not-applicable")]) is None


def test_every_text_that_could_not_be_read_is_named() -> None:
    failure = unreadable([Reading(status="out-of-range"), Reading(status="missing-rating")])
    assert failure
    assert failure.reason == "unreadable"
    assert failure.detail == "generation 1: out-of-range; generation 2: missing-rating"

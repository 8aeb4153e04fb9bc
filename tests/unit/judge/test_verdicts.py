"""Undoing the shuffle, and what makes a verdict unreadable."""

from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.results import Reading
from prefmill.judge.domain.verdicts import unreadable, unshuffled


@given(st.permutations(range(6)))
def test_a_reading_stands_at_the_index_of_the_text_it_is_about(order: list[int]) -> None:
    shown = [Reading(status="rated", rating=index) for index in order]
    restored = unshuffled(shown, order)
    assert [reading.rating for reading in restored] == [0, 1, 2, 3, 4, 5]


def test_a_verdict_on_a_pair_has_two_readings_in_the_rows_own_order() -> None:
    shown = [Reading(status="rated", rating=1), Reading(status="rated", rating=0)]
    assert [reading.rating for reading in unshuffled(shown, (3, 1))] == [0, 1]


def test_not_applicable_is_no_failure() -> None:
    readings = [Reading(status="rated", rating=1), Reading(status="not-applicable")]
    assert unreadable(readings, (0, 1)) is None


def test_every_text_that_could_not_be_read_is_named() -> None:
    readings = [Reading(status="out-of-range"), Reading(status="missing-rating")]
    failure = unreadable(readings, (0, 2))
    assert failure
    assert failure.reason == "unreadable"
    assert failure.detail == "generation 1: out-of-range; generation 3: missing-rating"

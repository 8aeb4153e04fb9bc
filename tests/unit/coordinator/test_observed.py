"""What metrics tell of runs: values, without a ledger."""

import pytest

from prefmill.coordinator.observed import OTHER, RunSeen, SlotSeen, summed
from prefmill.ledger.status import Tally


def slot(kind: str = "judge", **tally: int) -> SlotSeen:
    return SlotSeen(kind, "owl", "m", 100, Tally(**tally), cost=2.0, planned_cost=10.0)


def test_what_was_reused_was_planned_to_cost_nothing() -> None:
    assert slot(done=60, failed=10, reused=50).planned_so_far == pytest.approx(2.0)


def test_a_slot_without_a_price_has_no_plan_and_one_that_nobody_wants_costs_nothing() -> None:
    assert SlotSeen("judge", "owl", "m", 100, Tally(done=1)).planned_so_far is None
    assert SlotSeen("judge", "owl", "m", 0, Tally(), planned_cost=0.0).planned_so_far == 0.0


def test_runs_beyond_the_most_are_one_with_their_slots_added_up_by_kind() -> None:
    runs = [
        RunSeen(name, "running", 5, 1, {"planned": 2}, {"planned": 9}, 3.0, slots)
        for name, slots in (
            ("a", [slot(done=1, attempts=2), slot("generate", done=7)]),
            ("b", [slot(done=3, input_tokens=4)]),
        )
    ]
    other = summed(runs)
    assert (other.name, other.state, other.rows, other.unusable) == (OTHER, OTHER, 10, 2)
    assert (other.batches, other.batch_rows, other.cap) == ({"planned": 4}, {"planned": 18}, None)
    by_kind = {each.kind: each for each in other.slots}
    assert by_kind["judge"].tally == Tally(done=4, attempts=2, input_tokens=4)
    assert (by_kind["judge"].name, by_kind["judge"].wanted) == (OTHER, 200)
    assert (by_kind["judge"].cost, by_kind["judge"].planned_cost) == (4.0, 20.0)
    assert by_kind["generate"].tally == Tally(done=7)

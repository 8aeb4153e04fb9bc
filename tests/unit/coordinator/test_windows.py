"""Windows: when a look may wait because no worker can run dry."""

from types import SimpleNamespace
from typing import Any, cast

from prefmill.coordinator.domain.plan import Plan
from prefmill.coordinator.fleet import Fleet
from prefmill.coordinator.windows import Windows
from prefmill.ledger.planning import PLANNED, PUBLISHED


def plan_of_two_models() -> Plan:
    spec = SimpleNamespace(digest="d", kind="generate")
    models = [SimpleNamespace(lane="a"), SimpleNamespace(lane="b")]
    lanes = {"a": spec, "b": spec}
    plan: Any = SimpleNamespace(
        run_id=1, models=models, judges=[], lanes=lanes, calls_by_lane={"a": 1, "b": 1}
    )
    return cast("Plan", plan)


def test_lanes_with_half_their_window_planned_or_out_are_fed() -> None:
    rows = {(1, "a", PUBLISHED): 50, (1, "b", PLANNED): 20, (1, "b", PUBLISHED): 30}
    assert Windows(rows, Fleet(), 100).fed(plan_of_two_models())


def test_one_lane_below_half_its_window_hurries_the_next_look() -> None:
    rows = {(1, "a", PUBLISHED): 100, (1, "b", PUBLISHED): 49}
    assert not Windows(rows, Fleet(), 100).fed(plan_of_two_models())

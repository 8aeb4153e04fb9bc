"""What is said of a run: what workers are doing is not what waits for them."""

from dataclasses import replace
from datetime import UTC, datetime

from prefmill.contracts.api import SlotStatus
from prefmill.contracts.recipe import Recipe
from prefmill.contracts.workers import LaneServed, WorkerAnnounced
from prefmill.coordinator.domain.plan import Plan
from prefmill.coordinator.domain.resolved import resolve
from prefmill.coordinator.fleet import Fleet
from prefmill.coordinator.status import Sight, demands_of, status_of
from prefmill.coordinator.submission import desired_of
from prefmill.ledger.desired import Desired
from prefmill.ledger.exports import Export
from prefmill.ledger.planning import PLANNED, PUBLISHED
from prefmill.ledger.runs import Run
from prefmill.ledger.status import Tally

RECIPE = {
    "name": "r",
    "source": {"inline": ["hi"]},
    "models": {"a": {"engine": "simulated", "model": "sim-a"}},
}
JUDGED = {
    **RECIPE,
    "models": {name: {"engine": "simulated", "model": name} for name in "ab"},
    "judges": {"j": {"engine": "simulated", "model": "j"}},
    "judge": {"rubric": {"ultrafeedback": ["overall-rating"]}},
}
PLAN = Plan(1, 1, resolve(Recipe.model_validate(RECIPE)), Desired(models={"a": 1}), {}, reuse=False)
LANE = PLAN.slots[1].model.lane


def seen(state: str, rows: int, *, busy: int) -> SlotStatus:
    """The status of the model's slot, with so many rows out and so many calls under way."""
    served = LaneServed(
        slug=LANE.slug, kind="generate", digest=LANE.digest, slots=8, busy=busy, health="ready"
    )
    fleet = Fleet(clock=lambda: 0.0)
    announced = {"worker": "w", "service": "generator", "version": "0", "lanes": (served,)}
    fleet.note(WorkerAnnounced.model_validate(announced))
    return status_of(sight(state, rows), fleet).slots[0]


def sight(state: str, rows: int, sent: int = PUBLISHED) -> Sight:
    run = Run(
        id=1,
        name="r",
        state=state,
        reason="",
        revision=1,
        fresh=False,
        directory=None,
        source_digest=b"",
        source_fingerprint="",
        source_done=True,
        rows=100,
        rows_failed=0,
        drawn={"a": 100},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Sight(run, PLAN, {}, {}, {(1, LANE.slug, sent): rows}, {}, [])


def test_what_queues_for_a_worker_is_out_and_not_in_flight() -> None:
    slot = seen("running", 64, busy=8)
    assert (slot.published, slot.in_flight) == (64, 8)


def test_nothing_is_in_flight_of_a_stopped_run_whose_rows_nobody_works_on() -> None:
    assert seen("failed", 64, busy=0).in_flight == 0


def test_calls_of_other_runs_on_the_lane_are_not_in_flight_for_a_run_with_nothing_out() -> None:
    assert seen("finished", 0, busy=8).in_flight == 0
    assert seen("running", 3, busy=8).in_flight == 3


def test_a_run_says_after_a_while_which_lane_nobody_serves_and_how_many_rows_wait() -> None:
    now = 0.0
    fleet = Fleet(lambda: now, grace_s=15)
    fleet.want(LANE)
    assert status_of(sight("probing", 64), fleet).reason == ""
    now = 15.0
    for state in ("probing", "running"):
        said = status_of(sight(state, 64), fleet)
        assert said.reason == "models.a: no worker serves it yet; 100 rows wait for it"
        assert said.slots[0].detail == "no worker serves it yet"
    assert status_of(sight("running", 64, PLANNED), fleet).reason
    assert status_of(sight("running", 0), fleet).reason == "", "nothing is to be done there yet"
    assert status_of(sight("paused", 64), fleet).reason == ""


def test_a_lane_that_wants_devices_counts_all_rows_that_are_out() -> None:
    status = status_of(sight("running", 64), Fleet())
    slots = tuple(slot.model_copy(update={"gpus": 1}) for slot in status.slots)
    (demand,) = demands_of([status.model_copy(update={"slots": slots})])
    assert demand.in_flight == 64


def judged(state: str, *, done: tuple[int, int, int], rows: int | None = None) -> Sight:
    """A run of 100 prompts, two models and a judge, of which so many cells are done."""
    resolved = resolve(Recipe.model_validate(JUDGED))
    models = (*resolved.models, *resolved.judges)
    desired = desired_of(resolved, {model.key: n for n, model in enumerate(models, 1)})
    plan = replace(PLAN, resolved=resolved, desired=desired.model_copy(update={"rows": rows}))
    seen = sight(state, 0)
    tallies = {n: Tally(done=count) for n, count in enumerate(done, 1)}
    return replace(
        seen, plan=plan, tallies=tallies, run=replace(seen.run, drawn={"a": 100, "b": 100})
    )


def test_verdicts_that_are_not_asked_for_in_the_end_are_told_when_the_total_shrinks() -> None:
    during = status_of(judged("running", done=(100, 98, 95)), Fleet()).slots
    assert [(slot.wanted, slot.not_asked) for slot in during] == [(100, 0)] * 3
    ended = status_of(judged("finished", done=(100, 98, 95)), Fleet()).slots
    assert [(slot.wanted, slot.not_asked) for slot in ended] == [(100, 0), (98, 0), (95, 5)]


def test_a_recipe_that_is_limited_later_wants_fewer_cells_from_then_on_and_says_so() -> None:
    status = status_of(judged("running", done=(40, 10, 5), rows=20), Fleet())
    assert (status.rows, status.rows_wanted) == (100, 20)
    assert [slot.wanted for slot in status.slots] == [40, 20, 20]
    assert status_of(judged("running", done=(9, 9, 9), rows=100), Fleet()).rows_wanted is None
    assert (
        status_of(judged("finished", done=(20, 20, 20), rows=20), Fleet()).slots[2].not_asked == 0
    )


def test_the_dataset_of_a_run_stands_before_those_made_otherwise() -> None:
    asked = [{"request": {"formats": ["kto"], "directory": "d"}}, {"request": {"directory": "d"}}]
    specs = [*asked, {"cost_usd": 0.5}]
    exports = [
        Export(4 - at, 1, 1, spec, "written", "d", 9, None, "") for at, spec in enumerate(specs)
    ]
    told = status_of(replace(sight("finished", 0), exports=exports), Fleet()).exports
    assert [(export.id, export.own) for export in told] == [(3, True), (2, True), (4, False)]

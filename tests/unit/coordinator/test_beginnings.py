"""A run begins when all its lanes answer, or fails with the name of each that cannot."""

import pytest

from prefmill.contracts.recipe import Recipe
from prefmill.contracts.workers import LaneHealth, LaneServed, WorkerAnnounced
from prefmill.coordinator.beginnings import OTHERS_S, Beginning, Beginnings
from prefmill.coordinator.domain.plan import Plan
from prefmill.coordinator.domain.resolved import resolve
from prefmill.coordinator.fleet import Fleet
from prefmill.ledger.desired import Desired, DesiredRubric

RECIPE = Recipe.model_validate(
    {
        "name": "r",
        "source": {"inline": ["hi"]},
        "models": {name: {"engine": "simulated", "model": f"sim-{name}"} for name in "ab"},
        "judges": {"j": {"engine": "simulated", "model": "sim-j"}},
        "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    }
)
RUBRIC = DesiredRubric(label="ultrafeedback", aspects={"honesty": "aa"}, judges={"j": 3})
DESIRED = Desired(models={"a": 1, "b": 2}, rubrics=(RUBRIC,))
PLAN = Plan(1, 1, resolve(RECIPE), DESIRED, {}, reuse=False)
LANES = {slot.model.alias: slot.lane for slot in PLAN.slots.values()}


class World:
    """One worker that says how each lane stands, at a time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.fleet = Fleet(lambda: self.now)
        self.beginnings = Beginnings(self.fleet)

    def look(self, *spared: str, **health: LaneHealth) -> Beginning:
        lanes = tuple(
            LaneServed(
                slug=LANES[alias],
                kind=PLAN.lanes[LANES[alias]].kind,
                digest=PLAN.lanes[LANES[alias]].digest,
                slots=1,
                health=said,
                detail=f"no {alias}" if said == "unusable" else "",
            )
            for alias, said in health.items()
        )
        self.fleet.note(WorkerAnnounced(worker="w", service="generator", version="1", lanes=lanes))
        return self.beginnings.look(PLAN, set(PLAN.lanes), {LANES[alias] for alias in spared})


@pytest.fixture
def world() -> World:
    return World()


def test_a_run_begins_when_every_lane_is_ready(world: World) -> None:
    assert world.look(a="ready", b="probing", j="ready") == (False, "")
    assert world.look(a="ready", b="ready", j="ready") == (True, "")


def test_every_lane_that_is_known_to_be_unusable_is_named(world: World) -> None:
    assert world.look(a="unusable", b="unusable", j="unusable") == (
        False,
        "models.a: no a\nmodels.b: no b\njudges.j: no j",
    )


def test_lanes_that_have_not_answered_yet_are_waited_for_a_moment(world: World) -> None:
    assert world.look(a="unusable", b="probing", j="ready") == (False, "")
    assert world.look(a="unusable", b="unusable", j="ready").wrong.count(": no ") == 2
    assert world.look(a="unusable", b="probing", j="ready") == (False, ""), "the run is tried again"
    world.now += OTHERS_S
    assert world.look(a="unusable", b="probing", j="ready") == (False, "models.a: no a")


def test_a_run_goes_on_without_a_lane_that_it_can_do_without(world: World) -> None:
    assert world.look("a", a="unusable", b="ready", j="ready") == (True, "")
    assert world.look("a", a="unusable", b="probing", j="ready") == (False, "")

"""Plans are kept for runs that go on; a coordinator that lives for long does not grow by them."""

from prefmill.coordinator.domain.resolved import as_written
from prefmill.coordinator.plans import MOST_ENDED, Plans
from prefmill.ledger import runs
from prefmill.ledger.runs import Run

from .rig import Rig, recipe


async def submitted(rig: Rig, name: str) -> Run:
    plan = await rig.submit(recipe(name=name))
    async with rig.ledger.begin() as connection:
        run = await runs.run_by_id(connection, plan.run_id)
    assert run is not None
    return run


async def test_a_run_is_planned_once_until_it_is_submitted_anew(rig: Rig) -> None:
    plans, run = Plans(rig.ledger, as_written), await submitted(rig, "one")
    plans.forget(run.id, {"traceparent": "first"})
    plan = await plans.of(run)
    assert plan.submitted == {"traceparent": "first"}
    assert await plans.of(run) is plan
    plans.forget(run.id)
    again = await plans.of(run)
    assert again is not plan
    assert not again.submitted


async def test_only_runs_that_go_on_and_the_last_others_keep_their_plans(rig: Rig) -> None:
    plans = Plans(rig.ledger, as_written)
    known = [await submitted(rig, f"run-{n}") for n in range(MOST_ENDED + 3)]
    for run in known:
        await plans.of(run)
    plans.keep(known[:1])
    kept = {plan.run_id for plan in plans.known(known)}
    assert kept == {run.id for run in (known[0], *known[-MOST_ENDED:])}

"""What is known, after everything was killed, of calls that nobody stored an answer of."""

from prefmill.coordinator.app import reset
from prefmill.coordinator.budget import Verdict, affordable
from prefmill.coordinator.status import look, status_of
from prefmill.ledger import runs
from prefmill.messaging.connection import jetstream_of

from .rig import Rig, recipe

PRICED = {
    alias: {"engine": "simulated", "model": f"sim-{alias}", "price": {"input": 0, "output": 1000}}
    for alias in "ab"
}


async def killed(rig: Rig, *, told: bool) -> None:
    """A start after workers had the batches of one model, and the other's had still waited."""
    first, second, *_ = rig.plan.lanes
    await rig.step([first])
    assert len(await rig.take(ack=False)) == 1
    await rig.step([second])
    await reset(rig.ledger, jetstream_of(rig.nc), rig.streams if told else None)


async def affords(rig: Rig) -> tuple[int, Verdict]:
    """Calls counted as asked again, and what the run can afford."""
    async with rig.ledger.begin() as connection:
        run = await runs.run_by_id(connection, rig.plan.run_id)
        assert run is not None
        status = status_of(await look(connection, run, rig.plan), rig.fleet)
        return status.asked_again, await affordable(connection, run, rig.plan)


async def test_what_killed_workers_had_in_hand_is_told_and_reckoned_with_by_the_cost_cap(
    rig: Rig,
) -> None:
    limits = {"cost_usd": 9.5, "attempts": 2}
    await rig.submit(
        recipe(models=PRICED, limits=limits, generate={"params": {"max_tokens": 1000}})
    )
    assert await affords(rig) == (0, Verdict(calls=9)), "each may cost a dollar"
    await killed(rig, told=True)
    assert await affords(rig) == (3, Verdict(calls=6))
    await killed(rig, told=True)
    assert await affords(rig) == (6, Verdict(calls=3))


async def test_after_a_clean_end_nothing_is_said_to_have_been_killed(rig: Rig) -> None:
    await rig.submit(recipe())
    await killed(rig, told=False)
    assert (await affords(rig))[0] == 0
    assert await rig.work() == 3 * 2 + 3 * 2

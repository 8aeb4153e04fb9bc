"""Models that cannot be had: the rows wait, go on without them, or are drawn anew."""

from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa

from prefmill.contracts.recipe import Recipe
from prefmill.contracts.workers import LaneHealth, LaneServed, WorkerAnnounced
from prefmill.coordinator.fleet import FORGOTTEN_AFTER_S, LOST_AFTER
from prefmill.coordinator.unavailable import go_on_without
from prefmill.ledger import runs

from .rig import Rig, recipe, reply_to

ROWS = 60


def pool(rule: str, **generate: Any) -> Recipe:
    """Three models, two of which answer a row."""
    models = {name: {"engine": "simulated", "model": f"sim-{name}"} for name in "abc"}
    step = {"sampler": {"sample": 2}, "on_unavailable": rule, **generate}
    source = {"inline": [f"prompt {number}" for number in range(ROWS)]}
    return recipe(models=models, generate=step, source=source)


def lose(rig: Rig, *aliases: str, worker: str = "w", health: LaneHealth = "unusable") -> None:
    """A worker tells that it cannot load these models, or that it tries."""
    slots = [slot for slot in rig.plan.models if slot.model.alias in aliases]
    served = tuple(
        LaneServed(
            slug=slot.lane,
            kind="generate",
            digest=slot.model.lane.digest,
            slots=1,
            health=health,
            detail="out of memory",
        )
        for slot in slots
    )
    rig.fleet.note(WorkerAnnounced(worker=worker, service="generator", version="1", lanes=served))


async def go_on(rig: Rig) -> bool:
    windows = await rig.windows()
    return await go_on_without(rig.ledger, rig.streams, rig.plan, windows.gone(rig.plan))


async def draws(rig: Rig) -> list[tuple[str, ...]]:
    async with rig.ledger.begin() as connection:
        found = await connection.execute(
            sa.text("SELECT models FROM prompt WHERE run_id = :run ORDER BY position"),
            {"run": rig.plan.run_id},
        )
        return [tuple(models) for models in found.scalars()]


async def finish(rig: Rig) -> None:
    """Work to the end, going on without what is gone at every step."""
    while await rig.step() + await go_on(rig):
        for batch in await rig.take():
            reply = reply_to(batch)
            assert reply is not None
            await rig.store(reply)


async def test_rows_wait_for_a_model_that_cannot_be_had_unless_told_otherwise(rig: Rig) -> None:
    await rig.submit(pool("wait"))
    await rig.step()
    lose(rig, "a")
    assert not await go_on(rig)
    assert await rig.count("failure") == 0


async def test_skipped_models_close_their_cells_and_the_rows_go_on(rig: Rig) -> None:
    await rig.submit(pool("skip", sampler="all"))
    lose(rig, "a")
    await finish(rig)
    assert await rig.count("failure", "reason = 'unavailable'") == ROWS
    assert await rig.count("failure", "detail = 'out of memory'") == ROWS
    assert await rig.count("attempt") == 0
    assert await rig.count("answer") == 2 * ROWS
    assert await rig.count("verdict") == 2 * ROWS
    assert await rig.count("batch") == 0


async def test_a_model_whose_workers_are_killed_at_each_load_is_gone_as_well(rig: Rig) -> None:
    await rig.submit(pool("skip", sampler="all"))
    late = rig.fleet.clock
    for attempt in range(1, LOST_AFTER + 1):
        assert not await go_on(rig)
        lose(rig, "a", worker=f"w{attempt}", health="probing")
        rig.fleet.clock = lambda attempt=attempt: late() + attempt * 2 * FORGOTTEN_AFTER_S
    await finish(rig)
    assert await rig.count("failure", "detail LIKE '3 workers, one after the other%'") == ROWS
    assert await rig.count("answer") == 2 * ROWS
    assert await rig.count("batch") == 0


async def test_batches_that_are_out_already_are_taken_back(rig: Rig) -> None:
    await rig.submit(pool("skip", sampler="all"))
    assert await rig.step() == 3 * ROWS
    lose(rig, "a")
    assert await go_on(rig)
    lane = next(slot.lane for slot in rig.plan.models if slot.model.alias == "a")
    assert lane not in {batch.lane for batch in await rig.take(ack=False)}
    assert await rig.count("batch", f"lane = '{lane}' AND state < 2") == 0


async def test_another_model_is_drawn_where_one_cannot_be_had(rig: Rig) -> None:
    await rig.submit(pool("redraw"))
    before = await draws(rig)
    lose(rig, "a")
    await finish(rig)
    after = await draws(rig)
    for was, now in zip(before, after, strict=True):
        rest = {"b", "c"} - set(was)
        assert now == tuple(rest.pop() if alias == "a" else alias for alias in was)
    touched = sum("a" in was for was in before)
    assert await rig.count("failure", "detail LIKE '_ was drawn in its place: out%'") == touched
    assert await rig.count("answer") == 2 * ROWS
    assert await rig.count("verdict") == 2 * ROWS
    assert await rig.count("batch") == 0
    async with rig.ledger.begin() as connection:
        run = await runs.run_by_id(connection, rig.plan.run_id)
    assert run is not None
    assert Counter(run.drawn) == Counter(alias for now in after for alias in now)


@pytest.mark.slow
async def test_the_same_seed_draws_the_same_models_instead(rig: Rig) -> None:
    wide = {name: {"engine": "simulated", "model": f"sim-{name}"} for name in "abcdef"}
    wanted = pool("redraw").model_copy(
        update={
            "models": Recipe.model_validate(
                pool("redraw").model_dump(exclude_unset=True) | {"models": wide}
            ).models
        }
    )
    made: list[list[tuple[str, ...]]] = []
    for _ in range(2):
        await rig.submit(wanted, fresh=True)
        lose(rig, "a", "b")
        await finish(rig)
        made.append(await draws(rig))
    assert made[0] == made[1]
    assert not {"a", "b"} & {alias for row in made[0] for alias in row}
    assert len(set(made[0])) > 4, "not all by one and the same"


async def test_a_row_that_has_nobody_left_to_be_drawn_goes_on_with_fewer(rig: Rig) -> None:
    await rig.submit(pool("redraw", sampler="all"))
    lose(rig, "a")
    await finish(rig)
    assert await rig.count("answer") == 2 * ROWS
    assert await rig.count("failure", "detail = 'out of memory'") == ROWS


async def test_a_run_without_any_model_left_waits_whatever_the_recipe_says(rig: Rig) -> None:
    await rig.submit(pool("skip"))
    await rig.step()
    lose(rig, "a", "b", "c")
    assert not await go_on(rig)
    assert await rig.count("failure") == 0

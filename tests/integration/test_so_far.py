"""Datasets shown while a run goes on, and claims that are held while an upload takes its time."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import pytest_asyncio
import sqlalchemy as sa

from prefmill.contracts.work import GenerateBatch
from prefmill.coordinator.sofar import SoFar, every_of, finished_rows, want_whole
from prefmill.ledger import exports, runs, status
from prefmill.ledger.exports import Export, claim_export, want_export
from prefmill.ledger.runs import Run
from prefmill.sink.export import Exporter
from prefmill.testing.local_hub import LocalHub

from .rig import Rig, answered, recipe, reply_to

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
"""huggingface_hub's own way to send bytes."""

EVERY = recipe(
    source={"inline": [f"Question {n}?" for n in range(6)]},
    output={"formats": ["raw"], "shard_rows": 2, "hub": {"repo": "me/rig", "every": 2}},
)


@pytest_asyncio.fixture
async def half(rig: Rig) -> AsyncIterator[Rig]:
    """A run of six rows, of which four are answered and judged."""

    await rig.submit(EVERY)
    for _ in range(2):  # answers, then the verdicts on them
        await rig.step()
        for batch in await rig.take():
            first = isinstance(batch, GenerateBatch)
            await rig.store(answered(batch, range(4)) if first else reply_to(batch))
    yield rig


async def run_of(rig: Rig) -> Run:
    async with rig.ledger.begin() as connection:
        run = await runs.run_by_id(connection, rig.plan.run_id)
    assert run is not None
    return run


async def stored(rig: Rig) -> list[Export]:
    async with rig.ledger.begin() as connection:
        return await exports.exports_of(connection, rig.plan.run_id)


async def claim(rig: Rig, stale_s: float = 60.0) -> Export | None:
    async with rig.ledger.begin() as connection:
        return await claim_export(connection, stale_s)


def ids_shown(hub: LocalHub) -> set[str]:
    files = hub.repositories["me/rig"].files
    shards = [content for name, content in files.items() if name.endswith(".parquet")]
    tables = [pq.read_table(io.BytesIO(shard)) for shard in shards]
    return {row["instruction"] for table in tables for row in table.to_pylist()}


async def test_what_is_finished_is_shown_while_the_run_goes_on_and_all_of_it_at_the_end(
    half: Rig, hub: LocalHub, tmp_path: Path
) -> None:
    exporter = Exporter(half.ledger, tmp_path / "exports")
    await SoFar(half.ledger).look(await run_of(half), half.plan)
    asked = await claim(half)
    assert asked is not None
    assert asked.spec == {"so_far": 4}
    await exporter.make(asked)
    assert ids_shown(hub) == {f"Question {n}?" for n in range(4)}
    assert list((tmp_path / "exports").iterdir()) == []

    await half.work()
    sent = len(hub.uploads)
    async with half.ledger.begin() as connection:
        await want_export(connection, half.plan.run_id, 1, {}, "whole")
    whole = await claim(half)
    assert whole is not None
    await exporter.make(whole)
    assert ids_shown(hub) == {f"Question {n}?" for n in range(6)}
    assert len(hub.uploads) == sent + 1, "the shards that were whole already are not sent again"
    assert [(e.state, e.directory) for e in await stored(half)] == [
        ("written", str(tmp_path / "exports" / "whole")),
        ("written", f"{hub.address}/datasets/me/rig"),
    ]


async def test_none_is_asked_for_before_enough_rows_are_finished_or_while_one_is_made(
    half: Rig,
) -> None:
    run = await run_of(half)
    await SoFar(half.ledger).look(run, half.plan)
    await SoFar(half.ledger).look(run, half.plan)
    assert len(await stored(half)) == 1
    asked = await claim(half)
    assert asked is not None
    async with half.ledger.begin() as connection:
        await exports.update_export(connection, asked.id, run.id, state="failed", error="no Hub")
    await SoFar(half.ledger).look(run, half.plan)
    assert len(await stored(half)) == 1, "four rows were asked for; the next one comes with six"


async def test_rows_count_as_finished_once_every_judge_has_seen_them(half: Rig) -> None:
    async with half.ledger.begin() as connection:
        tallies = await status.tallies(connection, half.plan.run_id)
    assert finished_rows(half.plan, tallies) == 4
    assert finished_rows(half.plan, {}) == 0


async def test_the_end_of_a_run_withdraws_what_nobody_has_begun(half: Rig) -> None:
    await SoFar(half.ledger).look(await run_of(half), half.plan)
    async with half.ledger.begin() as connection:
        await want_whole(connection, await run_of(half), 0.5)
    assert [export.spec for export in await stored(half)] == [{"cost_usd": 0.5}]


async def test_exports_of_a_run_are_made_one_after_another_and_those_of_others_beside_it(
    half: Rig,
) -> None:
    async with half.ledger.begin() as connection:
        first = await want_export(connection, half.plan.run_id, 1, {}, "a")
        second = await want_export(connection, half.plan.run_id, 1, {}, "b")
        other = await want_export(connection, half.plan.run_id + 1, 1, {}, "c")
    claims = await asyncio.gather(*(claim(half) for _ in range(4)))
    assert sorted(export.id for export in claims if export) == [first, other]
    async with half.ledger.begin() as connection:
        await exports.update_export(connection, first, half.plan.run_id, state="written")
    following = await claim(half)
    assert following is not None
    assert following.id == second


async def test_a_slow_upload_keeps_its_claim(half: Rig, hub: LocalHub, tmp_path: Path) -> None:
    hub.gate = threading.Event()
    async with half.ledger.begin() as connection:
        await want_export(connection, half.plan.run_id, 1, {}, "whole")
    export = await claim(half)
    assert export is not None
    making = asyncio.create_task(Exporter(half.ledger, tmp_path, beat_s=0.02).make(export))
    try:
        seen = {await _claimed_at(half)}
        while len(seen) < 5:
            seen.add(await _claimed_at(half))
            await asyncio.sleep(0.01)
        assert not making.done()
        assert await claim(half, stale_s=30.0) is None
    finally:
        hub.gate.set()
        await making
    assert [export.state for export in await stored(half)] == ["written"]


async def _claimed_at(rig: Rig) -> Any:
    async with rig.ledger.begin() as connection:
        return (await connection.execute(sa.text("SELECT claimed_at FROM export"))).scalar_one()


def test_the_destination_that_wants_most_often_sets_the_pace() -> None:
    assert every_of(EVERY.output) == 2
    assert every_of(recipe(output={"hub": "me/rig"}).output) is None
    several = {"hub": {"repo": "me/rig", "every": 9}, "other": {"every": 5}, "odd": {"every": "x"}}
    assert every_of(recipe(output=several).output) == 5

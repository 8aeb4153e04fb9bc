"""What docs/operations.md says of backups, done: `pg_dump` of a run that goes on, and back."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from prefmill.cli.embedded import Home, start_nats, start_postgres
from prefmill.cli.embedded.binaries import postgres_folder
from prefmill.contracts.work import Batch, GenerateBatch
from prefmill.coordinator.submission import plan_of
from prefmill.ledger import runs
from prefmill.ledger.database import Ledger, migrate_to_head
from prefmill.messaging.connection import connect, jetstream_of
from prefmill.messaging.work import purge_work

from .rig import Rig, answered, make_rig, recipe, reply_to

pytestmark = pytest.mark.slow

ROWS = 70
CALLS = ROWS * 2 + ROWS * 2
"""Two models; one judge with two aspects."""

Cell = tuple[Any, ...]


def postgres_program(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [postgres_folder() / name, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def plain(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def cells_of(batch: Batch) -> set[Cell]:
    """What a batch asks for, by the ledger's keys."""
    assert hasattr(batch, "rows")
    return {
        (batch.slot, row.row, getattr(cell, "aspect", ""), cell.sample)
        for row in batch.rows
        for cell in row.cells
    }


async def stored(rig: Rig) -> set[Cell]:
    import sqlalchemy as sa

    query = (
        "SELECT slot_id, position, '' AS aspect, sample FROM answer "
        "UNION ALL SELECT slot_id, position, aspect, sample FROM verdict"
    )
    async with rig.ledger.begin() as connection:
        return {tuple(row) for row in await connection.execute(sa.text(query))}


async def half_done(rig: Rig) -> list[Batch]:
    """A run in the middle of everything: some answers stored, one reply in part, verdicts on their
    way. Returns the batches that are out and unanswered."""
    await rig.submit(recipe(source={"inline": [f"number {n}" for n in range(ROWS)]}))
    await rig.step()
    first, second, *others = await rig.take()
    assert isinstance(first, GenerateBatch)
    assert isinstance(second, GenerateBatch)
    await rig.store(answered(first), answered(second, rows=[0, 1, 2, 3, 4, 32, 33]))
    await rig.store(*(reply_to(batch) for batch in others[:2]))
    await rig.step()
    return [*others[2:], *await rig.take()]


@pytest_asyncio.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[str]:
    """The address of another Postgres, with nothing in it."""
    with Home(tmp_path / "elsewhere") as home:
        server = start_postgres(home)
        yield server.dsn
        server.stop()


async def restored(dsn: str, nc: Any) -> Rig:
    """The line on the ledger that was brought back."""
    ledger = Ledger(dsn.replace("postgresql://", "postgresql+asyncpg://", 1))
    await migrate_to_head(ledger)
    rig = await make_rig(ledger, nc)
    async with rig.ledger.begin() as connection:
        run = await runs.run_by_name(connection, "rig")
        assert run is not None
        rig.plan = await plan_of(connection, run)
    await rig.streams.open(rig.plan.lanes.values())
    return rig


async def finish(rig: Rig) -> tuple[int, set[Cell]]:
    """As the coordinator goes on: find what was lost, plan, publish; calls made, cells asked."""
    asked: set[Cell] = set()

    def answer(batch: Batch) -> Any:
        asked.update(cells_of(batch))
        return reply_to(batch)

    await rig.streams.reconcile(rig.plan.lanes)
    await rig.streams.reconcile(rig.plan.lanes)
    return await rig.work(answer), asked


async def test_a_run_goes_on_from_a_dump_on_new_servers_and_asks_nothing_twice(
    rig: Rig, database_url: str, elsewhere: str, tmp_path: Path
) -> None:
    out = await half_done(rig)
    kept = await stored(rig)
    dump = str(tmp_path / "ledger.dump")
    postgres_program("pg_dump", "--format=custom", f"--file={dump}", plain(database_url))
    await rig.store(*(reply_to(batch) for batch in out if isinstance(batch, GenerateBatch)))
    assert len(await stored(rig)) > len(kept), "what is answered after the backup is not in it"

    postgres_program("pg_restore", "--no-owner", f"--dbname={elsewhere}", dump)
    with Home(tmp_path / "nats") as home:
        server = start_nats(home, sync="10s")
        nc = await connect(server.url, "restored")
        again = await restored(elsewhere, nc)
        assert await stored(again) == kept
        calls, asked = await finish(again)
        await nc.close()
        await again.ledger.close()
        server.stop()
    assert kept, "something had been paid for"
    assert calls == len(asked) == CALLS - len(kept)
    assert not asked & kept


async def test_results_that_wait_in_an_old_nats_are_stored_and_not_asked_again(
    rig: Rig, database_url: str, elsewhere: str, tmp_path: Path
) -> None:
    """The servers of NATS have outlived the ledger: work is purged, results are let drain."""
    out = await half_done(rig)
    kept = await stored(rig)
    dump = str(tmp_path / "ledger.dump")
    postgres_program("pg_dump", "--format=custom", f"--file={dump}", plain(database_url))
    waiting = [reply_to(batch) for batch in out]
    assert waiting
    await purge_work(jetstream_of(rig.nc))
    postgres_program("pg_restore", "--no-owner", f"--dbname={elsewhere}", dump)
    again = await restored(elsewhere, rig.nc)
    await again.store(*waiting)
    calls, asked = await finish(again)
    saved = set[Cell]().union(*map(cells_of, out))
    await again.ledger.close()
    assert calls == len(asked) == CALLS - len(kept) - len(saved)
    assert not asked & (kept | saved)

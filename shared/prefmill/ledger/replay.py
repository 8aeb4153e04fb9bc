"""Batches that were given up: who they were, and having their cells asked again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.work import GenerateBatch, JudgeBatch
from prefmill.ledger import planning
from prefmill.ledger.arrays import columns
from prefmill.ledger.dead import cells_of, parsed
from prefmill.ledger.results import CELL
from prefmill.ledger.runs import NOTICE
from prefmill.ledger.tables import DEAD


@dataclass(frozen=True)
class Dead:
    """One batch given up; `work` is None if what was sent cannot be read."""

    id: int
    subject: str
    error: str
    deliveries: int
    at: datetime
    work: GenerateBatch | JudgeBatch | None


_DEAD = sa.select(
    DEAD.c.id, DEAD.c.subject, DEAD.c.error, DEAD.c.deliveries, DEAD.c.created_at, DEAD.c.payload
)

_REOPEN = sa.text("""
    WITH cell AS (
      SELECT * FROM unnest(
        :run ::text::bigint[], :slot ::text::int[], :position ::text::bigint[],
        :aspect ::text[], :sample ::text::smallint[], :target ::text::bytea[])
        AS c(run_id, slot_id, position, aspect, sample, target)),
    gone AS (
      DELETE FROM failure f USING cell c
      WHERE (f.run_id, f.slot_id, f.position, f.aspect, f.sample, f.target)
            = (c.run_id, c.slot_id, c.position, c.aspect, c.sample, c.target)
      RETURNING f.run_id, f.slot_id),
    forgiven AS (
      UPDATE attempt a SET forgiven = true FROM cell c
      WHERE (a.run_id, a.slot_id, a.position, a.aspect, a.sample, a.target)
            = (c.run_id, c.slot_id, c.position, c.aspect, c.sample, c.target)),
    counted AS (
      UPDATE tally t SET failed = t.failed - g.failed
      FROM (SELECT run_id, slot_id, count(*) AS failed FROM gone GROUP BY 1, 2) g
      WHERE (t.run_id, t.slot_id) = (g.run_id, g.slot_id))
    SELECT count(*) FROM gone
""")


async def dead_batches(
    connection: AsyncConnection, *, before: int | None = None, limit: int = 100
) -> list[Dead]:
    """Those not replayed, newest first, of ids below `before`."""
    wanted = _DEAD.order_by(DEAD.c.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(DEAD.c.id < before)
    return [_dead(row) for row in await connection.execute(wanted)]


async def dead_batch(connection: AsyncConnection, dead_id: int) -> Dead | None:
    """One of them."""
    found = (await connection.execute(_DEAD.where(DEAD.c.id == dead_id))).first()
    return None if found is None else _dead(found)


async def replay(
    connection: AsyncConnection, dead_id: int, work: GenerateBatch | JudgeBatch
) -> int:
    """Reopen the failed cells of a dead batch with fresh attempts, have its rows looked at, and
    forget it; how many cells had failed."""
    cells = [(work.run, work.slot, *cell) for cell in cells_of(work)]
    reopened = (await connection.execute(_REOPEN, columns(CELL, cells))).scalar_one()
    rows = sorted({row.row for row in work.rows})
    await planning.look_again(connection, work.run, rows)
    await connection.execute(DEAD.delete().where(DEAD.c.id == dead_id))
    await connection.execute(sa.select(sa.func.pg_notify(NOTICE, str(work.run))))
    return int(reopened)


def _dead(row: Any) -> Dead:
    dead_id, subject, error, deliveries, at, payload = row
    return Dead(dead_id, subject, error, deliveries, at, parsed(subject, payload))

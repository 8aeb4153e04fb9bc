"""What the planner reads and writes of batches: rows to be looked at, work that is on its way.

A batch is `PLANNED`, then `PUBLISHED`, then `CLOSED`: closed ones are the flag by which the
planner finds the rows to look at again; it deletes them in the transaction that plans what
follows. A batch of slot 0 is no work: rows just loaded, or to be looked at anew. Where cells of a
row were reopened while it was on its way, it waits until no work has it: looked at before, cells
would be planned that are on their way, and the closing of that work asks for its own cells only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.ledger.tables import BATCH

PLANNED: Final = 0
PUBLISHED: Final = 1
CLOSED: Final = 2

LOOKED_AT_AT_ONCE: Final = 512
"""Rows in a batch of slot 0."""

WAITING: Final = "waiting"
"""The lane, as it were, of rows to be looked at as soon as no work has any of them."""


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch as recorded."""

    id: int
    run_id: int
    slot_id: int
    lane: str
    rows: list[int]
    died: bool
    epoch: str
    sequence: int


_FIELDS: Final = "id, run_id, slot_id, lane, rows, died, epoch, sequence"
_CLOSED_BATCHES = sa.text(f"""
    WITH busy AS (SELECT unnest(rows) AS position FROM batch WHERE run_id = :run AND slot_id > 0)
    (SELECT {_FIELDS} FROM batch
     WHERE run_id = :run AND state = {CLOSED} AND slot_id > 0 ORDER BY id LIMIT :work)
    UNION ALL
    (SELECT {_FIELDS} FROM batch
     WHERE run_id = :run AND state = {CLOSED} AND slot_id = 0
           AND (lane <> '{WAITING}' OR NOT EXISTS (
             SELECT FROM unnest(rows) AS row WHERE row IN (SELECT position FROM busy)))
     ORDER BY id LIMIT :loaded)
""")
_PLANNED_BATCHES = sa.text(f"""
    SELECT b.* FROM unnest(:lanes ::text[]) WITH ORDINALITY AS l(lane, number)
    CROSS JOIN LATERAL (
      SELECT {_FIELDS} FROM batch
      WHERE run_id = :run AND state = {PLANNED} AND batch.lane = l.lane ORDER BY id LIMIT :limit
    ) AS b ORDER BY l.number, b.id
""")
_BATCH = sa.select(*(BATCH.c[name] for name in StoredBatch.__dataclass_fields__))


async def closed_batches(
    connection: AsyncConnection, run_id: int, *, work: int, loaded: int
) -> list[StoredBatch]:
    """Closed batches not yet looked at, oldest first: so many of work, then so many of rows
    just loaded, or with reopened cells and no work."""
    values = {"run": run_id, "work": work, "loaded": loaded}
    return [StoredBatch(*row) for row in await connection.execute(_CLOSED_BATCHES, values)]


async def planned_batches(
    connection: AsyncConnection, run_id: int, lanes: Sequence[str], limit: int
) -> list[StoredBatch]:
    """Batches not yet published, so many of each lane, by lane in the order given, oldest first."""
    values = {"run": run_id, "lanes": list(lanes), "limit": limit}
    return [StoredBatch(*row) for row in await connection.execute(_PLANNED_BATCHES, values)]


async def published_batches(
    connection: AsyncConnection, run_id: int | None = None
) -> list[StoredBatch]:
    """The batches that are out, of one run or of all."""
    published = _BATCH.where(BATCH.c.state == PUBLISHED)
    if run_id is not None:
        published = published.where(BATCH.c.run_id == run_id)
    return [StoredBatch(*row) for row in await connection.execute(published)]


async def live_batches(connection: AsyncConnection, run_id: int) -> list[StoredBatch]:
    """The batches of a run that are planned or out."""
    live = _BATCH.where(BATCH.c.run_id == run_id, BATCH.c.state < CLOSED).order_by(BATCH.c.id)
    return [StoredBatch(*row) for row in await connection.execute(live)]


_ADD = sa.text(f"""
    INSERT INTO batch (run_id, slot_id, lane, rows, state)
    SELECT :run, slot_id, lane, string_to_array(rows, ',')::bigint[], {PLANNED}
    FROM unnest(:slots ::int[], :lanes ::text[], :rows ::text[])
         WITH ORDINALITY AS _(slot_id, lane, rows, number)
    ORDER BY number RETURNING id
""")


async def add_batches(
    connection: AsyncConnection, run_id: int, batches: Sequence[tuple[int, str, list[int]]]
) -> list[int]:
    """Record planned batches: (slot, lane, rows); their ids, in the same order."""
    if not batches:
        return []
    values = {
        "run": run_id,
        "slots": [slot for slot, _, _ in batches],
        "lanes": [lane for _, lane, _ in batches],
        "rows": [",".join(map(str, rows)) for _, _, rows in batches],
    }
    return sorted((await connection.execute(_ADD, values)).scalars())


async def keep_rows(connection: AsyncConnection, batch: int, rows: list[int]) -> None:
    """Shorten a planned batch, whose message would be too large."""
    await connection.execute(BATCH.update().where(BATCH.c.id == batch).values(rows=rows))


_DELETE = sa.text("DELETE FROM batch WHERE id = ANY(:ids)")


async def delete_batches(connection: AsyncConnection, batches: Iterable[int]) -> None:
    """Forget batches whose rows have been looked at."""
    ids = sorted(batches)
    if ids:
        await connection.execute(_DELETE, {"ids": ids})


_RECORD = sa.text("""
    UPDATE batch SET state = 1, epoch = :epoch, sequence = p.sequence
    FROM unnest(:ids ::bigint[], :sequences ::bigint[]) AS p(id, sequence)
    WHERE batch.id = p.id AND batch.state = 0
""")


async def record_published(
    connection: AsyncConnection, epoch: str, published: Sequence[tuple[int, int]]
) -> None:
    """Record the stream sequences of published batches: (batch, sequence)."""
    await connection.execute(
        _RECORD,
        {
            "epoch": epoch,
            "ids": [batch for batch, _ in published],
            "sequences": [sequence for _, sequence in published],
        },
    )


async def close_planned(connection: AsyncConnection, batches: Sequence[int]) -> None:
    """Close planned batches whose cells have all been answered meanwhile."""
    if not batches:
        return
    await connection.execute(
        sa.text("UPDATE batch SET state = 2 WHERE id = ANY(:ids) AND state = 0"),
        {"ids": sorted(batches)},
    )


async def reopen(connection: AsyncConnection, batches: Sequence[int]) -> list[int]:
    """Close published batches that nobody will answer, so that their cells are wanted again;
    the runs they belong to."""
    found = await connection.execute(
        sa.text("""
            WITH gone AS (UPDATE batch SET state = 2 WHERE id = ANY(:ids) AND state = 1
                          RETURNING run_id)
            SELECT DISTINCT run_id FROM gone
        """),
        {"ids": sorted(batches)},
    )
    return list(found.scalars())


async def drop_batches(connection: AsyncConnection, run_id: int) -> None:
    """Forget all batches of a run, before all its rows are looked at anew."""
    await connection.execute(BATCH.delete().where(BATCH.c.run_id == run_id))


async def flag_all(connection: AsyncConnection, run_id: int) -> None:
    """Have the planner look at every row of a run."""
    await connection.execute(
        sa.text("""
            INSERT INTO batch (run_id, slot_id, lane, rows, state)
            SELECT :run, 0, '', array_agg(position ORDER BY position), 2 FROM prompt
            WHERE run_id = :run AND failure IS NULL
            GROUP BY position / :size ORDER BY position / :size
        """),
        {"run": run_id, "size": LOOKED_AT_AT_ONCE},
    )


def _looked_at_again(rows: str) -> sa.TextClause:
    """Rows that are in no batch need not wait for any."""
    return sa.text(f"""
        INSERT INTO batch (run_id, slot_id, lane, rows, state)
        SELECT :run, 0, lane, array_agg(position ORDER BY position), {CLOSED}
        FROM (SELECT DISTINCT position, CASE WHEN position IN (
                SELECT unnest(rows) FROM batch WHERE run_id = :run) THEN '{WAITING}' ELSE '' END
              FROM {rows}) AS found(position, lane)
        GROUP BY lane, position / {LOOKED_AT_AT_ONCE}
    """)


_FAILED_AGAIN = _looked_at_again("failure WHERE run_id = :run")
_ROWS_AGAIN = _looked_at_again("unnest(:rows ::bigint[]) AS position")


async def look_again_at_failed(connection: AsyncConnection, run_id: int) -> None:
    """Have the planner look at every row of a run that has a failed cell, each as soon as no work
    has it."""
    await connection.execute(_FAILED_AGAIN, {"run": run_id})


async def look_again(connection: AsyncConnection, run_id: int, rows: Sequence[int]) -> None:
    """Have the planner look at these rows, each as soon as no work has it."""
    await connection.execute(_ROWS_AGAIN, {"run": run_id, "rows": list(rows)})


_ROWS_BY_LANE = sa.text("""
    SELECT run_id, lane, state, sum(cardinality(rows)) FROM batch
    WHERE state < 2 GROUP BY 1, 2, 3
""")


async def rows_by_lane(connection: AsyncConnection) -> dict[tuple[int, str, int], int]:
    """(run, lane, state) → rows in planned and published batches of all runs."""
    found = await connection.execute(_ROWS_BY_LANE)
    return {(run, lane, state): int(rows) for run, lane, state, rows in found}


async def is_idle(connection: AsyncConnection, run_id: int) -> bool:
    """Whether nothing of a run is planned, out, or waiting to be looked at."""
    busy = sa.select(sa.exists().where(BATCH.c.run_id == run_id))
    return not (await connection.execute(busy)).scalar_one()

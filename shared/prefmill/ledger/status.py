"""How far runs are: counts that are kept up as results are stored, and pages of rows."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.ledger.lost import LOST_CELLS
from prefmill.ledger.tables import TALLY


@dataclass(frozen=True, slots=True)
class Tally:
    """What is stored for one slot, in cells; tokens are those this run paid for."""

    done: int = 0
    failed: int = 0
    reused: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class FailedCell:
    """A failed row (slot None) or a failed cell, for failures.jsonl."""

    position: int
    row_id: str
    slot_id: int | None
    aspect: str
    sample: int
    reason: str
    detail: str


async def tallies(connection: AsyncConnection, run_id: int) -> dict[int, Tally]:
    """Slot → its counts."""
    columns = [TALLY.c[name] for name in Tally.__dataclass_fields__]
    found = await connection.execute(
        sa.select(TALLY.c.slot_id, *columns).where(TALLY.c.run_id == run_id)
    )
    return {slot: Tally(*map(int, counts)) for slot, *counts in found}


_FAILED = sa.text(f"""
    SELECT position, row_id, CAST(NULL AS int), '', 0, failure, body->'failure'->>'detail'
    FROM prompt
    WHERE run_id = :run AND position >= :start AND position < :stop AND failure IS NOT NULL
          AND failure NOT LIKE 'by-%'
    UNION ALL
    SELECT position, row_id, slot_id, aspect, sample, reason, detail
    FROM {LOST_CELLS} JOIN prompt USING (run_id, position)
    WHERE run_id = :run AND position >= :start AND position < :stop
    ORDER BY 1, 3 NULLS FIRST, 4, 5
""")


async def failed_cells(
    connection: AsyncConnection, run_id: int, positions: range
) -> list[FailedCell]:
    """Failed rows and cells among these positions, in order. A row that a transform left out
    (reason `by-NAME`) has not failed."""
    values = {"run": run_id, "start": positions.start, "stop": positions.stop}
    return [FailedCell(*row) for row in await connection.execute(_FAILED, values)]


async def positions(
    connection: AsyncConnection, run_id: int, after: int, limit: int, *, failed: bool
) -> list[int]:
    """The next positions of a run, all or only those of rows with a failure."""
    every = "SELECT position FROM prompt WHERE run_id = :run AND position > :after"
    only = f"""
        SELECT position FROM prompt
        WHERE run_id = :run AND position > :after AND failure IS NOT NULL
              AND failure NOT LIKE 'by-%'
        UNION SELECT position FROM {LOST_CELLS} WHERE run_id = :run AND position > :after
    """
    statement = f"{only if failed else every} ORDER BY position LIMIT :limit"
    values = {"run": run_id, "after": after, "limit": limit}
    return list((await connection.execute(sa.text(statement), values)).scalars())

"""What becomes of cells whose model cannot be had: closed as failures, or another model drawn.

Neither is an attempt. That a cell was drawn anew stands in the failure of the model it was first
drawn for.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.reasons import UNAVAILABLE
from prefmill.ledger import statements
from prefmill.ledger.arrays import columns
from prefmill.ledger.planning import CLOSED, StoredBatch, live_batches
from prefmill.ledger.results import CELL, Counts, store_tally
from prefmill.ledger.tables import RUN


@dataclass(frozen=True, slots=True)
class Lost:
    """The answer of a row that its model will not give, why, and who is drawn instead."""

    position: int
    slot_id: int
    sample: int
    alias: str
    detail: str
    instead: str | None = None


async def lost_batches(
    connection: AsyncConnection, run_id: int, slots: Sequence[int]
) -> list[StoredBatch]:
    """The batches of a run, planned or out, that carry cells of these slots."""
    return [batch for batch in await live_batches(connection, run_id) if batch.slot_id in slots]


async def give_up(
    connection: AsyncConnection, run_id: int, lost: Sequence[Lost], batches: Sequence[StoredBatch]
) -> None:
    """Close these cells as failures, store the new draws, and close the batches: the planner
    looks at their rows again."""
    values = columns(
        (*CELL, "reason", "detail"),
        [
            (run_id, cell.slot_id, cell.position, "", cell.sample, b"", UNAVAILABLE, cell.detail)
            for cell in sorted(lost, key=lambda cell: (cell.position, cell.slot_id, cell.sample))
        ],
    )
    counts = Counts()
    for run, slot, failed in await connection.execute(statements.FAILURES, values):
        counts.add((run, slot), failed=failed)
    await store_tally(connection, counts)
    await _draw_anew(connection, run_id, redrawn(lost))
    await connection.execute(_CLOSE, {"ids": sorted(batch.id for batch in batches)})


def redrawn(lost: Sequence[Lost]) -> list[Lost]:
    """Those for which another model was drawn: one for all samples of a model."""
    once = {(cell.position, cell.alias): cell for cell in lost if cell.instead}
    return [once[key] for key in sorted(once)]


async def _draw_anew(connection: AsyncConnection, run_id: int, lost: Sequence[Lost]) -> None:
    """Put the other model where the first one stood, and count the draws as they are now."""
    if not lost:
        return
    drawn: Counter[str] = Counter(await connection.scalar(_DRAWN, {"run": run_id}))
    drawn.subtract(cell.alias for cell in lost)
    drawn.update(cell.instead or "" for cell in lost)
    await connection.execute(
        _REDRAW,
        [
            {"run": run_id, "position": c.position, "old": c.alias, "new": c.instead}
            for c in sorted(lost, key=lambda cell: cell.position)
        ],
    )
    await connection.execute(RUN.update().where(RUN.c.id == run_id).values(drawn=dict(drawn)))


_CLOSE = sa.text(f"UPDATE batch SET state = {CLOSED} WHERE id = ANY(:ids) AND state < {CLOSED}")
_DRAWN = sa.text("SELECT drawn FROM run WHERE id = :run FOR UPDATE")
_REDRAW = sa.text("""
    UPDATE prompt SET models = array_replace(models, :old ::text, :new ::text)
    WHERE run_id = :run AND position = :position
""")

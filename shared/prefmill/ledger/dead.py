"""Batches given up by their workers: recorded, and their rows asked again one by one."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.reasons import DIED
from prefmill.contracts.results import BatchDied
from prefmill.contracts.work import GenerateBatch, JudgeBatch
from prefmill.ledger import statements
from prefmill.ledger.arrays import columns
from prefmill.ledger.results import CELL, Counts, store_tally
from prefmill.ledger.runs import NOTICE


async def store_dead(connection: AsyncConnection, died: BatchDied) -> None:
    """Record a batch given up. Its rows are asked again one by one; a single row that died is
    a failed row."""
    known = died.batch is not None and died.batch.isdecimal()
    batch = int(died.batch) if known and died.batch else None
    await connection.execute(
        statements.DEAD,
        {
            "batch": batch,
            "subject": died.subject,
            "error": died.error,
            "deliveries": died.deliveries,
            "payload": died.payload.replace("\x00", "�"),
        },
    )
    work = parsed(died.subject, died.payload)
    if work is not None and len({row.row for row in work.rows}) == 1:
        await _fail_cells(connection, work, died.error)
    if batch is not None:
        await connection.execute(statements.DIED, {"ids": [batch]})
    if work is not None:
        await connection.execute(sa.select(sa.func.pg_notify(NOTICE, str(work.run))))


def parsed(subject: str, payload: str) -> GenerateBatch | JudgeBatch | None:
    """The batch that was published on a subject; None if it, or the keys of its cells, cannot be
    read."""
    model = JudgeBatch if subject.startswith("judge.") else GenerateBatch
    try:
        work = model.read(payload)
        cells_of(work)
    except ValueError:
        return None
    return work


def cells_of(work: GenerateBatch | JudgeBatch) -> list[tuple[int, str, int, bytes]]:
    """(position, aspect, sample, target) of each cell of a batch."""
    return [
        (
            row.row,
            getattr(cell, "aspect", ""),
            cell.sample,
            bytes.fromhex(getattr(cell, "target", "")),
        )
        for row in work.rows
        for cell in row.cells
    ]


async def _fail_cells(
    connection: AsyncConnection, work: GenerateBatch | JudgeBatch, error: str
) -> None:
    detail = f"the worker that had this row alone died again and again: {error}"
    counts = Counts()
    values = columns(
        (*CELL, "reason", "detail"),
        [
            (work.run, work.slot, position, aspect, sample, target, DIED, detail)
            for position, aspect, sample, target in cells_of(work)
        ],
    )
    for run, slot, failed in await connection.execute(statements.FAILURES, values):
        counts.add((run, slot), failed=failed)
    await store_tally(connection, counts)

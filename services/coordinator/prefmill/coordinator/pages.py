"""Rows for a person: what is stored for each, a page at a time."""

from collections.abc import Iterator

from prefmill.contracts.api import CellStatus, RowPage, RowStatus
from prefmill.ledger import runs, status
from prefmill.ledger.database import Ledger
from prefmill.ledger.finished import StoredRow, stored_rows
from prefmill.ledger.runs import Run, Slot


async def row_page(ledger: Ledger, run: Run, after: int, limit: int, *, failed: bool) -> RowPage:
    """Rows beyond position `after`; with `failed`, only those with a failed row or cell."""
    async with ledger.begin() as connection:
        positions = await status.positions(connection, run.id, after, limit, failed=failed)
        rows = await stored_rows(connection, run.id, positions)
        slots = {slot.id: slot for slot in await runs.slots_of(connection, run.id)}
    more = positions[-1] if len(positions) == limit else None
    return RowPage(rows=tuple(_row(row, slots) for row in rows), after=more)


def _row(row: StoredRow, slots: dict[int, Slot]) -> RowStatus:
    failure = row.prompt.failure
    return RowStatus(
        position=row.position,
        id=row.prompt.id,
        instruction=row.prompt.instruction,
        failure=failure.reason if failure else "",
        detail=failure.detail if failure else "",
        cells=tuple(_cells(row, slots)),
    )


def _cells(row: StoredRow, slots: dict[int, Slot]) -> Iterator[CellStatus]:
    for (slot, sample), answer in sorted(row.answers.items()):
        kind, alias = slots[slot].kind, slots[slot].alias
        yield CellStatus(slot=alias, kind=kind, sample=sample, text=answer.text)  # pyright: ignore[reportArgumentType]
    for (slot, aspect, sample, _), verdict in sorted(row.verdicts.items()):
        ratings = tuple(reading.rating for reading in verdict.readings)
        yield CellStatus(
            slot=slots[slot].alias, kind="judge", sample=sample, aspect=aspect, ratings=ratings
        )
    for (slot, aspect, sample, _), failure in sorted(row.failures.items()):
        yield CellStatus(
            slot=slots[slot].alias,
            kind=slots[slot].kind,  # pyright: ignore[reportArgumentType]
            sample=sample,
            aspect=aspect,
            failure=failure.reason,
            detail=failure.detail,
        )

"""Rows go on without a model that cannot be had, where the recipe says so."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.coordinator.domain.batching import ROWS
from prefmill.coordinator.domain.plan import Plan, PlanSlot
from prefmill.coordinator.domain.unavailable import gone_slots, lost_cells
from prefmill.coordinator.states import states_of
from prefmill.coordinator.streams import Streams
from prefmill.ledger import planning, runs
from prefmill.ledger.database import Ledger, retried
from prefmill.ledger.planning import StoredBatch
from prefmill.ledger.row_states import RowState
from prefmill.ledger.unavailable import Lost, give_up, lost_batches, redrawn

log: Final = logging.getLogger("prefmill.coordinator")


async def go_on_without(
    ledger: Ledger, streams: Streams, plan: Plan, gone: Mapping[str, str]
) -> bool:
    """Close what waits for models on the lanes that are gone, or draw others for it; True if
    there was anything."""
    slots = gone_slots(plan, gone)
    if not slots:
        return False
    batches, lost = await _given_up(ledger, plan, slots, gone)
    if not batches:
        return False
    log.warning(
        "run %d: %d answers of %s cannot be had, %d drawn anew: %s",
        plan.run_id,
        len(lost),
        ", ".join(sorted({cell.alias for cell in lost})) or "no model",
        sum(cell.instead is not None for cell in lost),
        "; ".join(sorted({gone[slot.lane] for slot in slots.values()})),
    )
    await streams.withdraw([batch for batch in batches if batch.sequence], plan.lanes)
    return True


@retried
async def _given_up(
    ledger: Ledger, plan: Plan, slots: Mapping[int, PlanSlot], gone: Mapping[str, str]
) -> tuple[list[StoredBatch], list[Lost]]:
    async with ledger.begin() as connection:
        if await runs.lock_run(connection, plan.run_id) is None:
            return [], []
        batches = await lost_batches(connection, plan.run_id, list(slots))
        rows = await _rows(connection, plan, batches)
        keys = dict.fromkeys((row, b.slot_id) for b in batches for row in b.rows if row in rows)
        pairs = ((rows[row], slots[slot]) for row, slot in keys)
        lost = list(lost_cells(plan, pairs, gone))
        if batches:
            await give_up(connection, plan.run_id, lost, batches)
            await planning.add_batches(connection, plan.run_id, list(_redrawn(plan, lost)))
    return batches, lost


async def _rows(
    connection: AsyncConnection, plan: Plan, batches: Sequence[StoredBatch]
) -> dict[int, RowState]:
    positions = sorted({row for batch in batches for row in batch.rows})
    states = await states_of(connection, plan, positions)
    return {row.position: row for row in states}


def _redrawn(plan: Plan, lost: Sequence[Lost]) -> list[tuple[int, str, list[int]]]:
    """Batches for the models drawn instead: the planner would take their cells for planned."""
    rows: dict[str, list[int]] = {}
    for cell in redrawn(lost):
        rows.setdefault(cell.instead or "", []).append(cell.position)
    slots = {slot.model.alias: slot for slot in plan.models}
    return [
        (slots[alias].id, slots[alias].lane, found[start : start + ROWS])
        for alias, found in sorted(rows.items())
        for start in range(0, len(found), ROWS)
    ]

"""Desired minus stored: finds the rows that changed, plans their lacking cells, publishes them.

One mechanism for normal progress, crash recovery, retries, and recipes that grew.
"""

import time
from collections import defaultdict
from collections.abc import Sequence, Set
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.coordinator.domain.batching import group
from prefmill.coordinator.domain.cells import Lacking, lacking
from prefmill.coordinator.domain.plan import REMEMBERED, Carried, Plan
from prefmill.coordinator.states import states_of
from prefmill.coordinator.windows import Windows
from prefmill.ledger import planning, reuse, runs
from prefmill.ledger.database import Ledger, retried
from prefmill.ledger.planning import StoredBatch
from prefmill.ledger.row_states import RowState, judged_cells
from prefmill.messaging.traces import begin, traced

CLOSED_AT_ONCE: Final = 256
LOADED_AT_ONCE: Final = 2
TRACED: Final = 4096
"""Planned batches whose traces go on; others begin theirs when they are published."""

Reasons = dict[int, set[int]]
"""Rows to be looked at → slots whose batches just closed for them."""


async def plan_step(ledger: Ledger, plan: Plan, windows: Windows) -> bool:
    """Look at the rows of closed batches, and at loaded ones while a lane is hungry; plan what
    they lack. True if there was anything to look at."""
    began = time.time_ns()
    found = await _planned(ledger, plan, windows)
    if found is None:
        return False
    closed, made = found
    for batch in closed:
        windows.speeds.note(batch.lane, len(batch.rows))
    for batch, lane, carried in made:
        plan.carried[batch] = carried
        windows.note_planned(plan.run_id, lane, len(carried))
    while len(plan.carried) > REMEMBERED:
        del plan.carried[next(iter(plan.carried))]
    if traced():
        _trace(plan, made, began)
    return True


def _trace(plan: Plan, made: Sequence[tuple[int, str, Carried]], began_ns: int) -> None:
    """Each new batch begins a trace, with its plan; the submission is another, and its cause."""
    for batch, lane, carried in made:
        step = begin(
            "plan",
            cause=plan.submitted,
            at_ns=began_ns,
            run=plan.run_id,
            revision=plan.revision,
            batch=str(batch),
            lane=lane,
            rows=len(carried),
        )
        step.end()
        plan.traces[batch] = step.headers
    while len(plan.traces) > TRACED:
        del plan.traces[next(iter(plan.traces))]


@retried
async def _planned(
    ledger: Ledger, plan: Plan, windows: Windows
) -> tuple[list[StoredBatch], list[tuple[int, str, Carried]]] | None:
    """The batches that had closed, and the new ones with their lanes and what they carry; None if
    there was nothing to look at. Everything is seen in one snapshot: a batch is closed in it
    exactly if its results are."""
    async with ledger.snapshot() as connection:
        if not await runs.take_run(connection, plan.run_id):
            return None
        closed = await _changed(connection, plan, windows)
        if not closed:
            return None
        reasons = _reasons(closed, await _settled(connection, plan, closed))
        states = await _states(connection, plan, reasons)
        wanted = await _wanted(connection, plan, states, reasons)
        alone = frozenset(row for batch in closed if batch.died for row in batch.rows)
        groups = group(wanted, alone=alone, most=lambda lane: windows.batch(plan, lane))
        ids = await planning.add_batches(
            connection, plan.run_id, [(slot, lane, list(rows)) for slot, lane, rows in groups]
        )
        await planning.delete_batches(connection, [batch.id for batch in closed])
    rows = {row.position: row for row in states}
    return closed, [
        (batch, lane, [(rows[row], cells) for row, cells in carried.items()])
        for batch, (_, lane, carried) in zip(ids, groups, strict=True)
    ]


async def _changed(connection: AsyncConnection, plan: Plan, windows: Windows) -> list[StoredBatch]:
    loaded = LOADED_AT_ONCE if windows.hungry(plan) else 0
    return await planning.closed_batches(
        connection, plan.run_id, work=CLOSED_AT_ONCE, loaded=loaded
    )


async def _settled(
    connection: AsyncConnection, plan: Plan, batches: Sequence[StoredBatch]
) -> set[tuple[int, int]]:
    """(batch, row) where every verdict asked for is there: nothing follows from it, and the row
    need not be looked at. Nearly all rows end so. Batches that another process published, or that
    were not kept, have their rows looked at."""
    asked = {batch.id: plan.judging.pop(batch.id, []) for batch in batches}
    rows = {row.position for carried in asked.values() for row, _ in carried}
    if not rows:
        return set()
    slots = {batch.slot_id for batch in batches if asked[batch.id]}
    stored = await judged_cells(connection, plan.run_id, sorted(rows), sorted(slots))
    return {
        (batch, row.position)
        for batch, carried in asked.items()
        for row, cells in carried
        if all((row.position, cell.key) in stored for cell in cells)
    }


def _reasons(batches: Sequence[StoredBatch], settled: Set[tuple[int, int]]) -> Reasons:
    reasons: Reasons = defaultdict(set)
    for batch in batches:
        for row in batch.rows:
            if (batch.id, row) not in settled:
                reasons[row].add(batch.slot_id)
    return reasons


async def _states(connection: AsyncConnection, plan: Plan, reasons: Reasons) -> list[RowState]:
    most = plan.desired.rows
    positions = [row for row in sorted(reasons) if most is None or row < most]
    return await states_of(connection, plan, positions)


async def _wanted(
    connection: AsyncConnection, plan: Plan, states: Sequence[RowState], reasons: Reasons
) -> list[tuple[int, Lacking]]:
    """The cells that these rows lack and that no live batch carries; filled from stored answers
    first, where there may be any."""
    wanted = _due(plan, states, reasons)
    while plan.reuse and wanted and await _fill(connection, plan, states, reasons, wanted):
        wanted = _due(plan, states, reasons)
    return wanted


def _due(plan: Plan, states: Sequence[RowState], reasons: Reasons) -> list[tuple[int, Lacking]]:
    return [
        (row.position, cell) for row in states for cell in lacking(row, plan, reasons[row.position])
    ]


async def _fill(
    connection: AsyncConnection,
    plan: Plan,
    states: Sequence[RowState],
    reasons: Reasons,
    wanted: Sequence[tuple[int, Lacking]],
) -> bool:
    rows = {row.position: row for row in states}
    cells = [(position, cell.key, cell.digest) for position, cell in wanted]
    answers = [cell for cell in cells if not cell[1].aspect]
    verdicts = [cell for cell in cells if cell[1].aspect]
    filled = False
    if answers:
        for row, slot, sample, sha in await reuse.copy_answers(connection, plan.run_id, answers):
            rows[row].answers[slot, sample] = sha
            reasons[row].add(slot)
            filled = True
    if verdicts:
        for row, key in await reuse.copy_verdicts(connection, plan.run_id, verdicts):
            rows[row].verdicts.add(key)
            filled = True
    return filled

"""Desired minus stored: finds the rows that changed, plans their lacking cells, publishes them.

One mechanism for normal progress, crash recovery, retries, and recipes that grew.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.coordinator.domain.batching import group
from prefmill.coordinator.domain.cells import Lacking, lacking
from prefmill.coordinator.domain.plan import Carried, Plan
from prefmill.coordinator.states import states_of
from prefmill.coordinator.windows import Windows
from prefmill.ledger import planning, reuse, runs
from prefmill.ledger.database import Ledger, retried
from prefmill.ledger.planning import StoredBatch
from prefmill.ledger.row_states import RowState
from prefmill.messaging.traces import begin, traced

CLOSED_AT_ONCE: Final = 256
LOADED_AT_ONCE: Final = 2
REMEMBERED: Final = 256
"""Planned batches whose cells are kept until they are published; others are derived again."""

TRACED: Final = 4096
"""Planned batches whose traces go on; others begin theirs when they are published."""

Reasons = dict[int, set[int]]
"""Row → slots whose batches just closed for it."""


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
        states = await _states(connection, plan, closed)
        wanted = await _wanted(connection, plan, states, _reasons(closed))
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


async def _states(
    connection: AsyncConnection, plan: Plan, batches: Sequence[StoredBatch]
) -> list[RowState]:
    positions = {row for batch in batches for row in batch.rows}
    if plan.desired.rows is not None:
        positions = {row for row in positions if row < plan.desired.rows}
    return await states_of(connection, plan, sorted(positions))


def _reasons(batches: Sequence[StoredBatch]) -> Reasons:
    reasons: Reasons = defaultdict(set)
    for batch in batches:
        for row in batch.rows:
            reasons[row].add(batch.slot_id)
    return reasons


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

"""Planned batches go out: as many as the lanes have room for, each recorded with its sequence."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError, NoStreamResponseError
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.channels import WORK, subject_of
from prefmill.coordinator.domain.batching import fitting, generate_rows, judge_rows, message
from prefmill.coordinator.domain.cells import Lacking, lacking
from prefmill.coordinator.domain.plan import REMEMBERED, Carried, Plan, PlanSlot
from prefmill.coordinator.states import states_of
from prefmill.coordinator.windows import Windows
from prefmill.ledger import planning, rows, runs
from prefmill.ledger.database import Ledger, retried
from prefmill.ledger.planning import StoredBatch
from prefmill.ledger.row_states import RowState
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.traces import NOWHERE, SILENT, Step, begin, traced
from prefmill.messaging.work import epoch_of, publish_work

log: Final = logging.getLogger("prefmill.coordinator")

BATCHES_AT_ONCE: Final = 64


@dataclass(frozen=True)
class Ready:
    """A batch with the message that carries it."""

    stored: StoredBatch
    slot: PlanSlot
    work: bytes
    carried: Carried

    @property
    def rows(self) -> int:
        """How many it carries."""
        return len(self.carried)


@retried
async def publish_step(
    ledger: Ledger,
    nc: Client,
    plan: Plan,
    windows: Windows,
    lanes: Sequence[str],
    most_calls: int | None = None,
) -> int:
    """Publish planned batches of these lanes within their windows; how many rows went out.
    `most_calls` is what can be afforded, about: one row goes out in any case.

    A batch was recorded before this transaction began. If it ends between publishing and
    recording, the batch is published again under the same Nats-Msg-Id.
    """
    async with ledger.begin() as connection:
        if not await runs.take_run(connection, plan.run_id):
            return 0
        batches = await _planned(connection, plan, windows, lanes, most_calls)
        if not batches:
            return 0
        ready = await _messages(connection, plan, batches)
        await planning.close_planned(
            connection, list({b.id for b, _ in batches} - {r.stored.id for r in ready})
        )
        for kind in ("generate", "judge"):
            same = [item for item in ready if item.slot.model.kind == kind]
            await _publish(connection, nc, plan, str(WORK[kind].stream), same)
        return sum(item.rows for item in ready)


async def _planned(
    connection: AsyncConnection,
    plan: Plan,
    windows: Windows,
    lanes: Sequence[str],
    most_calls: int | None,
) -> list[tuple[StoredBatch, int]]:
    """Batches, each with the rows of it that can be afforded."""
    rooms = {lane: windows.room(plan, lane) for lane in lanes}
    open_ = [
        lane
        for lane, room in rooms.items()
        if room > 0 and windows.rows.get((plan.run_id, lane, planning.PLANNED))
    ]
    if not open_:
        return []
    chosen: list[tuple[StoredBatch, int]] = []
    left = sys.maxsize if most_calls is None else most_calls
    for batch in await planning.planned_batches(connection, plan.run_id, open_, BATCHES_AT_ONCE):
        if rooms[batch.lane] > 0 and left > 0:
            calls = _calls(plan, batch)
            count = min(len(batch.rows), max(1, left // calls))
            chosen.append((batch, count))
            rooms[batch.lane] -= len(batch.rows)
            left -= count * calls
    return chosen


async def _messages(
    connection: AsyncConnection, plan: Plan, chosen: Sequence[tuple[StoredBatch, int]]
) -> list[Ready]:
    """The messages of these batches, each with at most so many rows."""
    batches = [batch for batch, _ in chosen]
    carried = await _carried(connection, plan, batches)
    positions = sorted({state.position for rows in carried.values() for state, _ in rows})
    prompts = await rows.asked(connection, plan.run_id, positions)
    judged = sorted({row for batch in batches if _judges(plan, batch) for row in batch.rows})
    texts = await rows.texts(connection, plan.run_id, judged) if judged else {}
    ready: list[Ready] = []
    for batch, most in chosen:
        slot = plan.slots.get(batch.slot_id)
        if slot is None or not carried[batch.id]:
            continue
        if slot.model.kind == "generate":
            made = generate_rows(slot, plan, carried[batch.id], prompts)
        else:
            made = judge_rows(plan, carried[batch.id], prompts, texts)
        count = min(fitting(made), most)
        left = [row.position for row, _ in carried[batch.id][count:]]
        await _split(connection, plan, batch, left)
        work = message(batch.id, slot, plan, made[:count])
        ready.append(Ready(batch, slot, work, carried[batch.id][:count]))
    return ready


async def _carried(
    connection: AsyncConnection, plan: Plan, batches: Sequence[StoredBatch]
) -> dict[int, Carried]:
    """What each batch carries: as it was planned by this process, else what its rows lack now."""
    carried = {batch.id: plan.carried.pop(batch.id, None) for batch in batches}
    forgotten = [batch for batch in batches if carried[batch.id] is None]
    positions = sorted({row for batch in forgotten for row in batch.rows})
    states = await states_of(connection, plan, positions)
    lacks = {state.position: (state, lacking(state, plan)) for state in states}
    derived = {batch.id: _of_slot(lacks, batch) for batch in forgotten}
    return {batch: rows or derived.get(batch, []) for batch, rows in carried.items()}


def _of_slot(lacks: dict[int, tuple[RowState, list[Lacking]]], batch: StoredBatch) -> Carried:
    found = (lacks[row] for row in batch.rows if row in lacks)
    mine = ((state, [c for c in cells if c.key.slot_id == batch.slot_id]) for state, cells in found)
    return [(state, cells) for state, cells in mine if cells]


def _calls(plan: Plan, batch: StoredBatch) -> int:
    """Calls that each row of a batch means, about."""
    slot = plan.slots.get(batch.slot_id)
    return plan.calls_per_row(slot) if slot else 1


def _judges(plan: Plan, batch: StoredBatch) -> bool:
    slot = plan.slots.get(batch.slot_id)
    return slot is not None and slot.model.kind == "judge"


async def _split(
    connection: AsyncConnection, plan: Plan, batch: StoredBatch, left: list[int]
) -> None:
    """Rows that made the message too large travel in a batch of their own."""
    if not left:
        return
    kept = [row for row in batch.rows if row not in set(left)]
    await planning.keep_rows(connection, batch.id, kept)
    await planning.add_batches(connection, plan.run_id, [(batch.slot_id, batch.lane, left)])


async def _publish(
    connection: AsyncConnection, nc: Client, plan: Plan, stream: str, ready: Sequence[Ready]
) -> None:
    if not ready:
        return
    js = jetstream_of(nc)
    steps = [_step(plan, item) for item in ready]
    try:
        epoch = await epoch_of(js, stream)
        acks = await asyncio.gather(
            *(
                publish_work(
                    js,
                    subject_of(item.slot.model.kind, item.slot.lane),
                    item.work,
                    str(item.stored.id),
                    step.headers,
                )
                for item, step in zip(ready, steps, strict=True)
            )
        )
    except (nats.errors.Error, APIError, NoStreamResponseError, TimeoutError, OSError) as error:
        log.warning("NATS took no work: %s; trying again", error or type(error).__name__)
        for step in steps:
            step.end("NATS took no work")
        return
    for item, step in zip(ready, steps, strict=True):
        step.end()
        plan.traces.pop(item.stored.id, None)
        _keep(plan, item)
        _tell(plan, item)
    published = [(item.stored.id, seq) for item, (seq, _) in zip(ready, acks, strict=True)]
    await planning.record_published(connection, epoch, published)


def _keep(plan: Plan, item: Ready) -> None:
    """Remember which verdicts are asked for: the planner sees by them which rows are done."""
    if item.slot.model.kind == "judge":
        plan.judging[item.stored.id] = item.carried
    while len(plan.judging) > REMEMBERED:
        del plan.judging[next(iter(plan.judging))]


def _tell(plan: Plan, item: Ready) -> None:
    if log.isEnabledFor(logging.DEBUG):
        about = {"run": plan.run_id, "batch": str(item.stored.id), "lane": item.slot.lane}
        log.debug("published %d rows", item.rows, extra=about)


def _step(plan: Plan, item: Ready) -> Step:
    if not traced():
        return SILENT
    batch = item.stored
    planned = plan.traces.get(batch.id)
    return begin(
        "publish",
        planned or NOWHERE,
        part="producer",
        cause=NOWHERE if planned else plan.submitted,
        run=plan.run_id,
        batch=str(batch.id),
        lane=batch.lane,
        rows=item.rows,
    )

"""How far a run is, put together from the ledger and from what workers announce."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.api import ExportStatus, FormatOutcome, LaneDemand, RunStatus, SlotStatus
from prefmill.contracts.recipe import Price
from prefmill.contracts.standing import standing
from prefmill.contracts.workers import LaneSpec, needs_devices
from prefmill.coordinator.domain.plan import Plan, PlanSlot
from prefmill.coordinator.domain.prices import price_of
from prefmill.coordinator.fleet import Fleet
from prefmill.ledger import exports, planning, runs, status
from prefmill.ledger.exports import Export
from prefmill.ledger.planning import PLANNED, PUBLISHED
from prefmill.ledger.runs import Run, Slot
from prefmill.ledger.status import Tally

ACTIVE: Final = ("loading", "probing", "running")
"""States of runs that go on."""


@dataclass(frozen=True)
class Sight:
    """What is needed to say how far a run is."""

    run: Run
    plan: Plan
    slots: Mapping[int, Slot]
    tallies: Mapping[int, Tally]
    rows: Mapping[tuple[int, str, int], int]
    paused: Mapping[str, str | None]
    exports: list[Export]


async def look(connection: AsyncConnection, run: Run, plan: Plan) -> Sight:
    """Read what the ledger knows of a run."""
    lanes = await runs.lanes(connection)
    return Sight(
        run=run,
        plan=plan,
        slots={slot.id: slot for slot in await runs.slots_of(connection, run.id)},
        tallies=await status.tallies(connection, run.id),
        rows=await planning.rows_by_lane(connection),
        paused={slug: paused for slug, (_, paused) in lanes.items()},
        exports=await exports.exports_of(connection, run.id),
    )


def status_of(sight: Sight, fleet: Fleet) -> RunStatus:
    """The run's status as the API gives it."""
    run = sight.run
    made = [export_status(export) for export in sight.exports]
    slots = [_given(sight, slot) for slot in sight.slots.values() if slot.kind == "given"]
    slots += [_slot(sight, fleet, slot) for slot in sight.plan.models]
    slots += [_slot(sight, fleet, slot) for slot in sight.plan.judges]
    return RunStatus(
        id=run.id,
        name=run.name,
        state=run.state,  # pyright: ignore[reportArgumentType]
        reason=run.reason or (standing(slots) if run.state in ACTIVE else ""),
        revision=run.revision,
        rows=run.rows,
        rows_wanted=_limit(sight),
        asked_again=sum(asked_again(sight).values()),
        rows_failed=run.failed,
        rows_left_out=run.left_out,
        source_done=run.source_done,
        slots=tuple(slots),
        input_tokens=sum(tally.input_tokens for tally in sight.tallies.values()),
        output_tokens=sum(tally.output_tokens for tally in sight.tallies.values()),
        cost_usd=spent(sight),
        started_at=run.created_at,
        exports=tuple(sorted(made, key=lambda export: not export.own)),
    )


def bare_status(run: Run, reason: str) -> RunStatus:
    """What can be said of a run whose recipe cannot be used any more: a file of it has changed or
    gone, or a plugin."""
    return RunStatus(
        id=run.id,
        name=run.name,
        state=run.state,  # pyright: ignore[reportArgumentType]
        reason=run.reason or reason,
        revision=run.revision,
        rows=run.rows,
        source_done=run.source_done,
        started_at=run.created_at,
    )


def export_status(export: Export) -> ExportStatus:
    """An export as the API gives it."""
    outcome: dict[str, Any] = export.outcome or {}
    asked: dict[str, Any] = export.spec.get("request", {})
    return ExportStatus(
        id=export.id,
        state=export.state,  # pyright: ignore[reportArgumentType]
        directory=export.directory,
        rows=export.rows,
        outcome={name: FormatOutcome.model_validate(value) for name, value in outcome.items()},
        summary=export.spec.get("summary", {}),
        error=export.error,
        so_far="so_far" in export.spec,
        own=not any(value for name, value in asked.items() if name != "directory"),
    )


def spent(sight: Sight) -> float:
    """US dollars paid so far by this run, older revisions included, as far as prices are known."""
    prices = {slot.id: price_of(slot.model) for slot in sight.plan.slots.values()}
    total = 0.0
    for slot_id, tally in sight.tallies.items():
        price = prices.get(slot_id) or _price_of_same_model(sight, slot_id)
        total += cost_of(tally, price) or 0.0
    return total


def asked_again(sight: Sight) -> dict[int, int]:
    """Slot → calls that workers had in hand when they were killed: nobody knows how many of them
    had begun, nor what these cost."""
    slots = sight.plan.slots
    return {
        slot: rows * (sight.plan.calls_per_row(slots[slot]) if slot in slots else 1)
        for slot, rows in sight.run.asked_again.items()
    }


def mean_cost(sight: Sight, slot: PlanSlot) -> float | None:
    """US dollars that one call of a slot has cost so far, on average; None if not known."""
    tally = sight.tallies.get(slot.id, Tally())
    calls = tally.done - tally.reused + tally.attempts
    cost = cost_of(tally, price_of(slot.model))
    return cost / calls if calls > 0 and cost is not None else None


def _price_of_same_model(sight: Sight, slot_id: int) -> Price | None:
    old = sight.slots.get(slot_id)
    same = [s.model for s in sight.plan.slots.values() if old and s.model.model == old.model]
    return price_of(same[0]) if same else None


def cost_of(tally: Tally, price: Price | None) -> float | None:
    """US dollars of the tokens paid for; None if no price is known."""
    if price is None:
        return None
    return (tally.input_tokens * price.input + tally.output_tokens * price.output) / 1e6


def _given(sight: Sight, slot: Slot) -> SlotStatus:
    """Who wrote responses that came with rows; blank ones count as failed."""
    done = sight.tallies.get(slot.id, Tally()).done
    blank = sight.run.blank.get(slot.alias, 0)
    return SlotStatus(
        kind="given",
        alias=slot.alias,
        model=slot.model,
        wanted=done + blank,
        done=done,
        failed=blank,
    )


def _slot(sight: Sight, fleet: Fleet, slot: PlanSlot) -> SlotStatus:
    tally = sight.tallies.get(slot.id, Tally())
    lane = slot.model.lane
    served = fleet.serving(lane.slug, lane.digest)
    health, detail = fleet.health(lane.slug, lane.digest)
    paused = sight.paused.get(lane.slug)
    wanted = wanted_of(sight, slot)
    out = sight.rows.get((sight.run.id, lane.slug, PUBLISHED), 0)
    return SlotStatus(
        kind=slot.model.kind,
        alias=slot.model.label,
        model=slot.model.model,
        lane=lane.slug,
        wanted=wanted,
        done=tally.done,
        failed=tally.failed,
        not_asked=_not_asked(sight, slot),
        reused=tally.reused,
        attempts=tally.attempts,
        published=out,
        in_flight=min(out * sight.plan.calls_per_row(slot), sum(lane.busy for lane in served)),
        waiting=max(0, wanted - tally.done - tally.failed),
        workers=len(served),
        health="unusable" if paused else health,
        detail=paused
        or fleet.trouble(lane.slug, lane.digest)
        or detail
        or _absence(sight, fleet, lane),
        gpus=gpus_of(slot),
        input_tokens=tally.input_tokens,
        output_tokens=tally.output_tokens,
        cost_usd=cost_of(tally, price_of(slot.model)),
    )


def _absence(sight: Sight, fleet: Fleet, lane: LaneSpec) -> str:
    """That nobody serves a lane that rows are planned for; empty while a worker may still come."""
    keys = ((sight.run.id, lane.slug, state) for state in (PLANNED, PUBLISHED))
    if not any(sight.rows.get(key) for key in keys) or not fleet.deserted(lane.slug, lane.digest):
        return ""
    what = "has a device for" if needs_devices(lane) else "serves"
    return f"no worker {what} it yet"


def gpus_of(slot: PlanSlot) -> int | None:
    """Devices that a worker of its lane needs; None if it needs none of its own."""
    return int(str(slot.model.lane.options["gpus"])) if needs_devices(slot.model.lane) else None


def demands_of(active: Iterable[RunStatus]) -> list[LaneDemand]:
    """The lanes of these runs that want devices, each once, in the order of runs and recipes. A
    run that still loads prompts is going to want more of each."""
    found: dict[str, LaneDemand] = {}
    for run in active:
        for slot in run.slots:
            if slot.kind == "given" or slot.gpus is None:
                continue
            known = found.get(slot.lane)
            found[slot.lane] = LaneDemand(
                slug=slot.lane,
                kind=slot.kind,
                model=slot.model,
                gpus=slot.gpus,
                open=max(slot.waiting, not run.source_done) + (known.open if known else 0),
                in_flight=slot.published,
                health=slot.health,
            )
    return list(found.values())


def wanted_of(sight: Sight, slot: PlanSlot) -> int:
    """Cells wanted of a slot, as far as known: what is drawn, or every usable row's aspects, of
    as many rows as the recipe wants; of a finished run, what was closed."""
    closed = _closed(sight, slot)
    return closed if sight.run.state == "finished" else max(closed, _expected(sight, slot))


def _not_asked(sight: Sight, slot: PlanSlot) -> int:
    if sight.run.state != "finished" or slot.model.kind == "generate":
        return 0
    return max(0, _expected(sight, slot) - _closed(sight, slot))


def _closed(sight: Sight, slot: PlanSlot) -> int:
    tally = sight.tallies.get(slot.id, Tally())
    return tally.done + tally.failed


def _expected(sight: Sight, slot: PlanSlot) -> int:
    """Of the first rows of many, their share: where exactly the others fell is not counted."""
    run, limit = sight.run, _limit(sight)
    drawn = Counter(run.drawn)[slot.model.alias]
    rows = drawn if slot.model.kind == "generate" else run.rows - run.rows_failed
    if limit is not None:
        rows = ceil(rows * limit / run.rows)
    return rows * sight.plan.calls_per_row(slot)


def _limit(sight: Sight) -> int | None:
    """How many of the rows are wanted; None if all are."""
    rows = sight.plan.desired.rows
    return rows if rows is not None and rows < sight.run.rows else None


RunAction = Literal["pause", "resume", "cancel", "retry"]

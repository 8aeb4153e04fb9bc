"""Looks at the ledger and at NATS for whoever scrapes, at most every few seconds.

What cannot be read stays as it was seen last, and is said to be down.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.workers import LaneSpec
from prefmill.coordinator.conductor import Conductor
from prefmill.coordinator.domain.estimate import estimate
from prefmill.coordinator.domain.plan import Plan, PlanSlot
from prefmill.coordinator.domain.prices import price_of
from prefmill.coordinator.observed import (
    STATES,
    BrokerSeen,
    LaneSeen,
    LedgerSeen,
    RunSeen,
    SlotSeen,
    summed,
)
from prefmill.coordinator.status import ACTIVE, Sight, cost_of, wanted_of
from prefmill.coordinator.trouble import line_of
from prefmill.coordinator.windows import Windows
from prefmill.ledger import observed, runs
from prefmill.ledger.observed import Live
from prefmill.ledger.planning import CLOSED, PLANNED, PUBLISHED
from prefmill.ledger.runs import Run, Slot
from prefmill.ledger.status import Tally
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.held import NATS_TROUBLE
from prefmill.messaging.queues import lane_queue, results_queue, streams
from prefmill.plugins.errors import RecipeError

log: Final = logging.getLogger("prefmill.coordinator")

FRESH_S: Final = 3.0
"""What was seen so long ago is told again."""
PATIENCE_S: Final = 4.0
"""A scrape waits so long for the ledger, and for NATS."""
LINGERS_S: Final = 600.0
"""A run that has ended is shown for so long, so that its last counts are seen."""
MOST_RUNS: Final = 50
MOST_LANES: Final = 200
SAMPLED: Final = 200
"""Rows that a run's planned cost is estimated from."""

_NAMES: Final = {CLOSED: STATES[0], PLANNED: STATES[1], PUBLISHED: STATES[2]}


class Observer:
    """What was seen last. `ledger_up` and `broker_up` say whether it could be seen now."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._looking = asyncio.Lock()
        self._looked: float | None = None
        self._active: dict[int, float] = {}
        self._plans: dict[tuple[int, int], dict[int, float]] = {}
        self._lanes: dict[str, LaneSpec] = {}
        self.ledger: LedgerSeen | None = None
        self.broker: BrokerSeen | None = None
        self.ledger_up = False
        self.broker_up = False
        self.seconds = 0.0
        """How long the last look at the ledger took."""

    async def look(self) -> None:
        """See how things are, unless that was just done."""
        async with self._looking:
            now = time.monotonic()
            if self._looked is not None and now - self._looked < FRESH_S:
                return
            self.ledger_up = await self._look_at_ledger()
            self.seconds = time.monotonic() - now
            self.broker_up = await self._look_at_broker()
            self._looked = time.monotonic()

    async def _look_at_ledger(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                self.ledger = await self._ledger_seen()
        except (DBAPIError, InterfaceError, OSError) as error:
            if self.ledger_up:
                log.warning("metrics: the ledger cannot be read: %s", line_of(error))
            return False
        return True

    async def _look_at_broker(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                self.broker = await self._broker_seen()
        except NATS_TROUBLE as error:
            if self.broker_up:
                log.warning("metrics: NATS cannot be asked: %s", line_of(error))
            return False
        return True

    async def _ledger_seen(self) -> LedgerSeen:
        ledger = self._conductor.ledger
        async with ledger.begin() as connection:
            known = await runs.runs(connection)
        shown = self._shown(known)
        current = {(run.id, run.revision) for run in shown}
        self._plans = {key: costs for key, costs in self._plans.items() if key in current}
        plans = {run.id: plan for run in shown if (plan := await self._plan(run))}
        async with ledger.begin() as connection:
            live = await observed.live_batches(connection)
            seen = await self._runs_seen(connection, shown, plans, live)
            paused = await runs.paused_lanes(connection)
            dead = await observed.dead_letters(connection)
            size = await observed.size(connection)
        lanes = self._lanes_seen(plans.values(), live, paused)
        return LedgerSeen(Counter(run.state for run in known), seen, lanes, dead, size)

    def _shown(self, known: Sequence[Run]) -> list[Run]:
        """The runs that go on or have just ended, newest first."""
        now, recent = time.monotonic(), datetime.now(UTC) - timedelta(seconds=LINGERS_S)
        for run in known:
            if run.state in (*ACTIVE, "paused"):
                self._active[run.id] = now
        self._active = {run: at for run, at in self._active.items() if now - at < LINGERS_S}
        return [run for run in known if run.id in self._active or run.created_at > recent]

    async def _plan(self, run: Run) -> Plan | None:
        try:
            return await self._conductor.plan(run)
        except RecipeError:
            return None

    async def _runs_seen(
        self,
        connection: AsyncConnection,
        shown: Sequence[Run],
        plans: dict[int, Plan],
        live: Sequence[Live],
    ) -> list[RunSeen]:
        ids = [run.id for run in shown]
        slots = await observed.slots_of(connection, ids)
        tallies = await observed.tallies_of(connection, ids)
        seen: list[RunSeen] = []
        for run in shown:
            plan = plans.get(run.id)
            costs = await self._planned_costs(connection, run, plan) if plan else {}
            mine = [each for each in live if each.run_id == run.id]
            found = slots.get(run.id, []), tallies.get(run.id, {})
            seen.append(_run_seen(run, plan, *found, costs, mine))
        named, others = seen[:MOST_RUNS], seen[MOST_RUNS:]
        return [*named, summed(others)] if others else named

    async def _planned_costs(
        self, connection: AsyncConnection, run: Run, plan: Plan
    ) -> dict[int, float]:
        """Slot → US dollars that a call of it is planned to cost; from the first rows, once."""
        key = (run.id, run.revision)
        if key not in self._plans and run.rows:
            prompts = await observed.first_prompts(connection, run.id, SAMPLED)
            made = estimate(plan.resolved, prompts, sample=SAMPLED + 1)
            self._plans[key] = {
                slot: each.cost_usd / each.calls
                for slot, each in zip(plan.slots, made.slots, strict=True)
                if each.cost_usd is not None and each.calls
            }
        return self._plans.get(key, {})

    def _lanes_seen(
        self, plans: Iterable[Plan], live: Sequence[Live], paused: dict[str, str]
    ) -> list[LaneSeen]:
        rows = {(each.run_id, each.lane, each.state): each.rows for each in live}
        windows = Windows(rows, self._conductor.fleet, self._conductor.settings.window_floor)
        self._lanes = {spec.slug: spec for spec in self._conductor.deployed.all_lanes()}
        sizes: defaultdict[str, int] = defaultdict(int)
        for plan in plans:
            for slug, spec in plan.lanes.items():
                self._lanes.setdefault(slug, spec)
                sizes[slug] = max(sizes[slug], windows.size(plan, slug))
        self._lanes = dict(list(self._lanes.items())[:MOST_LANES])
        return [self._lane(spec, sizes, live, paused) for spec in self._lanes.values()]

    def _lane(
        self, spec: LaneSpec, sizes: dict[str, int], live: Sequence[Live], paused: dict[str, str]
    ) -> LaneSeen:
        served = self._conductor.fleet.serving(spec.slug, spec.digest)
        mine = [each for each in live if each.lane == spec.slug]
        return LaneSeen(
            slug=spec.slug,
            kind=spec.kind,
            planned=sum(each.rows for each in mine if each.state == PLANNED),
            published=sum(each.rows for each in mine if each.state == PUBLISHED),
            window=sizes.get(spec.slug),
            workers=len(served),
            ready=sum(lane.health == "ready" for lane in served),
            slots=sum(lane.slots for lane in served),
            paused=spec.slug in paused,
        )

    async def _broker_seen(self) -> BrokerSeen:
        js = jetstream_of(self._conductor.nc)
        specs = list(self._lanes.values())
        found = await asyncio.gather(*(lane_queue(js, spec.kind, spec.slug) for spec in specs))
        queues = {spec.slug: queue for spec, queue in zip(specs, found, strict=True) if queue}
        return BrokerSeen(queues, await results_queue(js), await streams(js))


def _run_seen(
    run: Run,
    plan: Plan | None,
    slots: Sequence[Slot],
    tallies: dict[int, Tally],
    costs: dict[int, float],
    live: Sequence[Live],
) -> RunSeen:
    batches, rows = Counter[str](), Counter[str]()
    for each in live:
        batches[_NAMES[each.state]] += each.batches
        rows[_NAMES[each.state]] += each.rows
    cap = plan.resolved.recipe.limits.cost_usd if plan else None
    seen = RunSeen(run.name, run.state, run.rows, run.failed, batches, rows, cap)
    if plan is None:
        return seen
    by_id = {slot.id: slot for slot in slots}
    sight = Sight(run, plan, by_id, tallies, {}, {}, [])
    each = [_slot_seen(sight, slot, costs.get(slot.id)) for slot in plan.slots.values()]
    return RunSeen(run.name, run.state, run.rows, run.failed, batches, rows, cap, each)


def _slot_seen(sight: Sight, slot: PlanSlot, planned_each: float | None) -> SlotSeen:
    tally = sight.tallies.get(slot.id, Tally())
    wanted = wanted_of(sight, slot)
    return SlotSeen(
        kind=slot.model.kind,
        name=slot.model.label,
        model=slot.model.model,
        wanted=wanted,
        tally=tally,
        cost=cost_of(tally, price_of(slot.model)),
        planned_cost=None if planned_each is None else planned_each * wanted,
    )

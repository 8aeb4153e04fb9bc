"""Moves every run on: loads it, has its lanes probed, plans, publishes, finishes it."""

import asyncio
import logging
import time
from typing import Final

from nats.aio.client import Client

from prefmill.contracts.api import RunState
from prefmill.contracts.workers import WorkerAnnounced
from prefmill.coordinator.beginnings import Beginnings, who
from prefmill.coordinator.budget import affordable
from prefmill.coordinator.domain.plan import Plan
from prefmill.coordinator.domain.unavailable import gone_slots
from prefmill.coordinator.events import told
from prefmill.coordinator.fleet import Fleet
from prefmill.coordinator.loader import load
from prefmill.coordinator.planner import plan_step
from prefmill.coordinator.plans import Plans
from prefmill.coordinator.publisher import publish_step
from prefmill.coordinator.settings import CoordinatorSettings
from prefmill.coordinator.sofar import SoFar, want_whole
from prefmill.coordinator.speeds import Speeds
from prefmill.coordinator.status import ACTIVE, look, spent
from prefmill.coordinator.streams import Streams
from prefmill.coordinator.trouble import TROUBLE, line_of
from prefmill.coordinator.unavailable import go_on_without
from prefmill.coordinator.uploads import Uploads
from prefmill.coordinator.windows import Windows
from prefmill.ledger import planning, runs
from prefmill.ledger.database import Ledger
from prefmill.ledger.runs import Run
from prefmill.messaging.traces import NOWHERE, Headers
from prefmill.plugins.errors import RecipeError
from prefmill.settings.deployed import Deployed

log: Final = logging.getLogger("prefmill.coordinator")

ANNOUNCE_S: Final = 2.0
UNREADY_S: Final = 15.0


class Conductor:
    """The coordinator's loop. `wake` says that something changed; a tick makes it right anyway."""

    def __init__(
        self,
        settings: CoordinatorSettings,
        ledger: Ledger,
        nc: Client,
        streams: Streams,
        fleet: Fleet,
        deployed: Deployed | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.nc = nc
        self.streams = streams
        self.fleet = fleet
        self.deployed = deployed or Deployed()
        self.uploads = Uploads(settings.uploads_folder, settings.upload_bytes)
        self.beat = time.monotonic()
        self._woken = asyncio.Event()
        self._plans = Plans(ledger, self.uploads.placed)
        self._loaders: dict[int, asyncio.Task[None]] = {}
        self._announced = 0.0
        self._fed = False
        self._so_far = SoFar(ledger)
        self._speeds = Speeds()
        self._beginnings = Beginnings(fleet)

    def wake(self) -> None:
        """Look soon."""
        self._woken.set()

    async def note(self, announced: WorkerAnnounced) -> None:
        """Take a worker's announcement; a new worker is told the lanes at once."""
        if self.fleet.note(announced):
            self._announced = 0.0
        self.wake()

    async def run(self) -> None:
        """Look, for ever. Trouble with NATS or Postgres is said, and waited out."""
        while True:
            began = time.monotonic()
            try:
                worked = await self._look()
                self.beat = time.monotonic()
            except TROUBLE as error:
                log.warning("cannot go on: %s; trying again", line_of(error))
                await asyncio.sleep(0.5)
                worked = False
            if worked:
                await asyncio.sleep(began + self._pace() - time.monotonic())
            else:
                await self._wait()

    async def reconcile(self) -> None:
        """Look for lost batches every few seconds, for ever."""
        while True:
            await asyncio.sleep(self.settings.reconcile_s)
            try:
                await self.streams.bootstrap()
                await self.streams.open(self.deployed.all_lanes())
                async with self.ledger.begin() as connection:
                    lanes = await runs.lane_specs(connection)
                if await self.streams.reconcile(lanes):
                    self.wake()
            except TROUBLE as error:
                log.warning("cannot look for lost batches: %s", line_of(error))

    async def plan(self, run: Run) -> Plan:
        """The plan of a run's current revision, made once."""
        return await self._plans.of(run)

    def forget(self, run_id: int, trace: Headers = NOWHERE) -> None:
        """The run was submitted anew, in that trace: make its plan again, and load it again."""
        self._plans.forget(run_id, trace)
        loader = self._loaders.pop(run_id, None)
        if loader:
            loader.cancel()

    async def clear(self, plan: Plan) -> None:
        """Have the workers try the lanes of a run again that they paused."""
        for slug in plan.lanes:
            self.fleet.clear(slug)
        await self.streams.announce([], clear=list(plan.lanes))

    def unready(self) -> str:
        """Why the coordinator does not move runs on, in one line; empty if it does."""
        silent = time.monotonic() - self.beat
        return f"no look at the ledger for {silent:.0f} s" if silent > UNREADY_S else ""

    def _pace(self) -> float:
        """Seconds from one look to the next while there is work: a look costs about the same
        for one closed batch as for ten, so it waits for more while no worker could run dry."""
        return self.settings.fed_pace_s if self._fed else self.settings.pace_s

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self.settings.tick_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        else:
            await asyncio.sleep(self.settings.linger_s)
        self._woken.clear()

    async def _look(self) -> bool:
        async with self.ledger.begin() as connection:
            active = [run for run in await runs.runs(connection) if run.state in ACTIVE]
            self._plans.keep(active)
            self._so_far.keep(active)
            if not active:
                return False
            rows = await planning.rows_by_lane(connection)
            paused = await runs.paused_lanes(connection)
        windows = Windows(rows, self.fleet, self.settings.window_floor, paused, self._speeds)
        worked = [await self._advance(run, windows) for run in active]
        self._fed = all(windows.fed(plan) for plan in self._plans.known(active))
        return any(worked)

    async def _advance(self, run: Run, windows: Windows) -> bool:
        try:
            plan = await self.plan(run)
            if not run.source_done:
                self._load(run, plan)
            return await self._step(run, plan, windows)
        except RecipeError as error:
            await self._fail(run, "\n".join(error.problems))
            return False

    async def _step(self, run: Run, plan: Plan, windows: Windows) -> bool:
        worked = await plan_step(self.ledger, plan, windows)
        worked |= await go_on_without(self.ledger, self.streams, plan, windows.gone(plan))
        if run.state != "running" and not await self._may_begin(run, plan, windows):
            return worked
        await self._so_far.look(run, plan)
        if await self._publish(run, plan, windows):
            return True
        if not worked and run.source_done:
            await self._close(run, plan)
        return worked

    async def _may_begin(self, run: Run, plan: Plan, windows: Windows) -> bool:
        """Whether every lane that will be called answers its probe; the run fails if one cannot."""
        planned = windows.planned(run.id)
        if not planned:
            return run.source_done
        if run.state == "loading":
            await self._set(run, "probing")
        first = {slot.lane for slot in plan.models}
        needed = set(plan.lanes) if planned & first else planned
        await self._announce(plan, needed)
        dispensable = {slot.lane for slot in gone_slots(plan, windows.gone(plan)).values()}
        ready, wrong = self._beginnings.look(plan, needed, dispensable)
        if wrong:
            await self._fail(run, wrong)
        if ready:
            await self._set(run, "running")
        return ready

    async def _publish(self, run: Run, plan: Plan, windows: Windows) -> bool:
        """Publish to the lanes that have work and are not paused, within the cost cap."""
        planned = windows.planned(run.id)
        if not planned:
            return False
        await self._announce(plan, planned)
        most = None
        if plan.resolved.recipe.limits.cost_usd is not None:
            async with self.ledger.begin() as connection:
                verdict = await affordable(connection, run, plan)
            if verdict.reason:
                await self._fail(run, verdict.reason)
            if verdict.calls == 0:
                return False
            most = verdict.calls
        lanes = [slug for slug in plan.lanes if slug in planned and slug not in windows.paused]
        return bool(await publish_step(self.ledger, self.nc, plan, windows, lanes, most))

    async def _announce(self, plan: Plan, slugs: set[str]) -> None:
        now = time.monotonic()
        lanes = [plan.lanes[slug] for slug in sorted(slugs)]
        await self.streams.open(lanes)
        new = [spec for spec in lanes if self.fleet.want(spec)]
        if new or now - self._announced > ANNOUNCE_S:
            self._announced = now
            await self.streams.announce(lanes)

    async def _close(self, run: Run, plan: Plan) -> None:
        """Finish a run that lacks nothing; stop one that only paused lanes could bring on."""
        async with self.ledger.begin() as connection:
            current = await runs.lock_run(connection, run.id)
            if current is None or current.state not in ACTIVE or not current.source_done:
                return
            if await planning.is_idle(connection, run.id):
                cost = spent(await look(connection, current, plan))
                await runs.update_run(connection, run.id, state="finished", reason="")
                await want_whole(connection, run, cost)
                told(run, "finished")
                return
            lanes = await runs.lanes(connection)
            rows = await planning.rows_by_lane(connection)
        busy = {lane for (run_id, lane, _), out in rows.items() if run_id == run.id and out}
        paused = {slug: lanes[slug][1] for slug in busy if lanes[slug][1]}
        if busy and len(paused) == len(busy):
            lines = [f"{who(plan, slug)}: {why}" for slug, why in sorted(paused.items())]
            await self._fail(run, "\n".join(lines))

    def _load(self, run: Run, plan: Plan) -> None:
        if run.id not in self._loaders:
            self._loaders[run.id] = asyncio.create_task(self._loading(run, plan))

    async def _loading(self, run: Run, plan: Plan) -> None:
        try:
            await load(self.ledger, plan)
        except RecipeError as error:
            await self._fail(run, "\n".join(error.problems))
        except TROUBLE as error:
            line = line_of(error)
            log.warning("loading %s: %s; trying again", run.name, line, extra={"run": run.id})
        finally:
            self._loaders.pop(run.id, None)
            self.wake()

    async def _set(self, run: Run, state: RunState) -> None:
        async with self.ledger.begin() as connection:
            await runs.update_run(connection, run.id, state=state)
        told(run, state)

    async def _fail(self, run: Run, reason: str) -> None:
        told(run, "failed", reason)
        async with self.ledger.begin() as connection:
            await runs.update_run(connection, run.id, state="failed", reason=reason)

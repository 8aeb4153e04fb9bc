"""What a person does to a run: submit, pause, resume, cancel, retry, export."""

import asyncio
from collections.abc import Sequence
from typing import Any

from prefmill.contracts.api import (
    ExportRequest,
    LaneDemand,
    RunPlan,
    RunRequest,
    RunState,
    RunStatus,
)
from prefmill.coordinator.conductor import Conductor
from prefmill.coordinator.domain.asked import check_export
from prefmill.coordinator.domain.named import expanded
from prefmill.coordinator.domain.places import refuse_folder, refuse_places, refuse_taken
from prefmill.coordinator.events import told
from prefmill.coordinator.forecast import forecast
from prefmill.coordinator.status import (
    ACTIVE,
    RunAction,
    bare_status,
    demands_of,
    look,
    spent,
    status_of,
)
from prefmill.coordinator.submission import difference, submit
from prefmill.ledger import exports, planning, runs
from prefmill.ledger.planning import StoredBatch
from prefmill.ledger.replay import Dead, replay
from prefmill.ledger.runs import Run
from prefmill.messaging.traces import begin
from prefmill.plugins.errors import RecipeError


class Refused(Exception):
    """What was asked makes no sense for the run as it is; the message says why."""


class Actions:
    """Everything the API can do to runs."""

    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self._ledger = conductor.ledger

    async def submit(self, request: RunRequest) -> RunStatus:
        """Run a recipe, or go on with it. RecipeError if it cannot be run."""
        await self._allowed(request)
        uploads = self.conductor.uploads
        step = begin("submit", part="server", name=request.recipe.name)
        try:
            submitted = await submit(self._ledger, self._expanded(request), uploads.placed)
        finally:
            step.end()
        self.conductor.forget(submitted.run_id, step.headers)
        run = await self.run(submitted.run_id)
        told(run, "loading", f"revision {run.revision}")
        await self._clear(run)
        await self._withdraw(run, submitted.withdrawn)
        self.conductor.wake()
        return await self.status(run)

    async def plan(self, request: RunRequest) -> RunPlan:
        """What a recipe would call, of what is not stored yet. RecipeError if it cannot run."""
        await self._allowed(request)
        request = self._expanded(request)
        run, changed = await difference(self._ledger, request.recipe)
        return await forecast(self._ledger, request, run, changed, self.conductor.uploads.placed)

    async def act(self, run: Run, action: RunAction) -> RunStatus:
        """Pause, resume, cancel a run, or have its failed cells tried again."""
        if action == "pause":
            await self._stop(run, "paused")
        elif action == "cancel":
            await self._stop(run, "cancelled")
        elif action == "retry":
            await self._retry(run)
        else:
            await self._resume(run)
        self.conductor.wake()
        return await self.status(await self.run(run.id))

    async def replay(self, dead: Dead) -> RunStatus:
        """Have the cells of a batch that was given up asked again, and its run go on."""
        if dead.work is None:
            raise Refused(f"the dead batch {dead.id} cannot be read; retry its run instead")
        run = await self.run(dead.work.run)
        async with self._ledger.begin() as connection:
            await replay(connection, dead.id, dead.work)
        await self._clear(run)
        if run.state in ("finished", "failed"):
            await self._set(run, "loading")
        self.conductor.wake()
        return await self.status(await self.run(run.id))

    async def export(self, run: Run, request: ExportRequest) -> int:
        """Ask for datasets from what is stored; the export's id. RecipeError if they cannot be
        made, or may not go there."""
        if not self.conductor.settings.local:
            refuse_folder(request.directory)
        plan = await self.conductor.plan(run)
        configs = check_export(plan.resolved.recipe, plan.desired, request)
        await self._free(request.directory, configs)
        async with self._ledger.begin() as connection:
            cost = spent(await look(connection, run, plan))
            spec: dict[str, Any] = {
                "request": request.model_dump(mode="json", exclude_unset=True),
                "cost_usd": cost,
            }
            where = request.directory or ""
            return await exports.want_export(connection, run.id, run.revision, spec, where)

    async def run(self, run_id: int) -> Run:
        """The run. Refused if there is none of that id."""
        async with self._ledger.begin() as connection:
            run = await runs.run_by_id(connection, run_id)
        if run is None:
            raise Refused(f"there is no run {run_id}")
        return run

    async def status(self, run: Run) -> RunStatus:
        """How far a run is."""
        try:
            plan = await self.conductor.plan(run)
        except RecipeError as error:
            return bare_status(run, str(error))
        async with self._ledger.begin() as connection:
            return status_of(await look(connection, run, plan), self.conductor.fleet)

    async def all(self, name: str | None = None) -> list[RunStatus]:
        """How far all runs are, newest first; with `name`, only that one."""
        async with self._ledger.begin() as connection:
            known = [run for run in await runs.runs(connection) if name in (None, run.name)]
        return [await self.status(run) for run in known]

    async def _allowed(self, request: RunRequest) -> None:
        """RecipeError if it names files that are not here, or that it may not name."""
        if not self.conductor.settings.local:
            refuse_places(request.recipe)
            refuse_folder(request.directory)
        await asyncio.to_thread(self.conductor.uploads.check, request.recipe.source)
        await self._free(request.directory)

    async def _free(self, directory: str | None, configs: Sequence[str] = ()) -> None:
        """RecipeError if somebody else's files are where a dataset is to go."""
        exports_dir = self.conductor.settings.exports_dir
        await asyncio.to_thread(refuse_taken, directory, exports_dir, configs)

    def _expanded(self, request: RunRequest) -> RunRequest:
        recipe = expanded(request.recipe, self.conductor.deployed)
        return request.model_copy(update={"recipe": recipe})

    async def demands(self) -> list[LaneDemand]:
        """The lanes of active runs that want devices of their own."""
        async with self._ledger.begin() as connection:
            active = [run for run in await runs.runs(connection) if run.state in ACTIVE]
        return demands_of([await self.status(run) for run in active])

    async def _set(self, run: Run, state: RunState) -> None:
        async with self._ledger.begin() as connection:
            await runs.update_run(connection, run.id, state=state, reason="")
        told(run, state)

    async def _stop(self, run: Run, state: RunState) -> None:
        """Nothing more is published; what no worker has yet is taken back."""
        if run.state in ("finished", "cancelled"):
            raise Refused(f"the run {run.name!r} is {run.state}; there is nothing to stop")
        await self._set(run, state)
        plan = await self.conductor.plan(run)
        async with self._ledger.begin() as connection:
            out = await planning.published_batches(connection, run.id)
        idle = await self.conductor.streams.undelivered(out, plan.lanes)
        await self._withdraw(run, idle)
        async with self._ledger.begin() as connection:
            await planning.reopen(connection, [batch.id for batch in idle])

    async def _resume(self, run: Run) -> None:
        if run.state == "finished":
            raise Refused(f"the run {run.name!r} is finished; submit its recipe again to change it")
        await self._clear(run)
        await self._set(run, "loading")

    async def _retry(self, run: Run) -> None:
        async with self._ledger.begin() as connection:
            await runs.forgive(connection, run.id)
        await self._clear(run)
        await self._set(run, "loading")

    async def _clear(self, run: Run) -> None:
        """Let the run's paused lanes be tried again."""
        plan = await self.conductor.plan(run)
        async with self._ledger.begin() as connection:
            for slug in plan.lanes:
                await runs.pause_lane(connection, slug, None)
        await self.conductor.clear(plan)

    async def _withdraw(self, run: Run, batches: Sequence[StoredBatch]) -> None:
        if batches:
            plan = await self.conductor.plan(run)
            await self.conductor.streams.withdraw(batches, plan.lanes)

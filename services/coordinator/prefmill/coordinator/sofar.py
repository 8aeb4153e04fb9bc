"""Datasets so far: a destination may want what there is every so many rows, while a run goes on."""

import time
from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.recipe import Output
from prefmill.coordinator.domain.plan import Plan
from prefmill.ledger import exports, status
from prefmill.ledger.database import Ledger
from prefmill.ledger.runs import Run
from prefmill.ledger.status import Tally

LOOK_S: Final = 1.0
"""Rows are counted so often."""


class SoFar:
    """Asks the sink for datasets of runs that go on."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._looked: dict[int, float] = {}

    def keep(self, active: Collection[Run]) -> None:
        """Forget the other runs."""
        going_on = {run.id for run in active}
        self._looked = {run: at for run, at in self._looked.items() if run in going_on}

    async def look(self, run: Run, plan: Plan) -> None:
        """Ask for one, if its recipe wants one by now and none is on its way. The last one comes
        with the end of the run, so it is not asked for here."""
        every = every_of(plan.resolved.recipe.output)
        now = time.monotonic()
        if every is None or now - self._looked.get(run.id, -LOOK_S) < LOOK_S:
            return
        self._looked[run.id] = now
        async with self._ledger.begin() as connection:
            rows = finished_rows(plan, await status.tallies(connection, run.id))
            made = [e for e in await exports.exports_of(connection, run.id) if _is_like(e, run)]
            last = int(made[0].spec["so_far"]) if made else 0
            pending = bool(made) and made[0].state in ("wanted", "writing")
            whole = run.source_done and rows >= run.rows
            if rows - last >= every and not pending and not whole:
                where = f".{run.name}-so-far"
                spec = {"so_far": rows}
                await exports.want_export(connection, run.id, run.revision, spec, where)


async def want_whole(connection: AsyncConnection, run: Run, cost_usd: float) -> None:
    """Ask for the whole dataset of a run that has ended, and for none so far any more."""
    await exports.withdraw_so_far(connection, run.id)
    spec, where = {"cost_usd": cost_usd}, run.directory or ""
    await exports.want_export(connection, run.id, run.revision, spec, where)


def every_of(output: Output) -> int | None:
    """Finished rows between two datasets so far; None if no destination wants any."""
    options = [value for value in output.destinations().values() if isinstance(value, dict)]
    wanted = [value.get("every") for value in options]
    return min((n for n in wanted if isinstance(n, int) and n > 0), default=None)


def finished_rows(plan: Plan, tallies: Mapping[int, Tally]) -> int:
    """How many rows are answered and judged, about: as many as the slowest judge has seen."""
    closed = {slot: tally.done + tally.failed for slot, tally in tallies.items()}
    if plan.judges:
        return min(closed.get(s.id, 0) // max(1, plan.calls_per_row(s)) for s in plan.judges)
    return sum(closed.get(s.id, 0) for s in plan.models) // max(1, plan.texts_per_row)


def _is_like(export: exports.Export, run: Run) -> bool:
    return export.revision == run.revision and "so_far" in export.spec

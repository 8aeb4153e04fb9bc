"""Exports: stored verdicts are pooled, formatted and written, without a call."""

import asyncio
import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import JsonValue
from sqlalchemy.exc import DBAPIError, InterfaceError

from prefmill.contracts.api import ExportState, FormatOutcome
from prefmill.contracts.rows import FinishedRow
from prefmill.ledger import exports, status
from prefmill.ledger.database import Ledger
from prefmill.ledger.exports import Export
from prefmill.ledger.finished import StoredRow, stored_rows
from prefmill.ledger.status import FailedCell
from prefmill.plugins.destination import DestinationError, destinations_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.files import plugin_files
from prefmill.plugins.format import ScoredRow
from prefmill.plugins.pool import Pool, needs_fit, pools_of
from prefmill.plugins.transform import Chain, any_stateful, transforms_of
from prefmill.sink.counts import Counts
from prefmill.sink.destinations.files import FilesDestination, FilesOptions
from prefmill.sink.destinations.stores import StoreDestination, StoreOptions
from prefmill.sink.domain.finishing import finished
from prefmill.sink.domain.pooling import aspect_ratings, judge_ratings, score_row
from prefmill.sink.job import Job, facts_of, failure_of, formats_for, job_of, manifest_of

log: Final = logging.getLogger("prefmill.sink")

PAGE: Final = 500
PASSING: Final = (DBAPIError, InterfaceError, OSError)
"""Trouble with the ledger or the disk, after which an export is taken up again."""
T = TypeVar("T")


@dataclass(frozen=True)
class WaitFor:
    """Runs a coroutine on the service's loop from a thread, and gives its result."""

    loop: asyncio.AbstractEventLoop

    def __call__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(make(), self.loop).result()


@dataclass(frozen=True)
class _Written:
    """By config; and what is wrong with the formats that failed, whose configs are not there."""

    outcome: dict[str, FormatOutcome]
    problems: str


class Exporter:
    """Makes one export after another."""

    def __init__(
        self,
        ledger: Ledger,
        exports_dir: Path,
        counts: Counts | None = None,
        beat_s: float = 20.0,
    ) -> None:
        self._ledger = ledger
        self._exports_dir = exports_dir
        self._counts = counts
        self._beat_s = beat_s

    async def make(self, export: Export) -> None:
        """Make a claimed export; note in the ledger how it ended."""
        began = time.monotonic()
        beats = asyncio.create_task(self._beat(export))
        try:
            state = await self._make(export)
        finally:
            beats.cancel()
        if self._counts is not None:
            self._counts.exports[state].add(time.monotonic() - began)

    async def _beat(self, export: Export) -> None:
        """Hold on to a claim, however long a pool fits or an upload takes."""
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                await self._update(export)
            except (DBAPIError, InterfaceError, OSError) as error:
                log.warning("export %d: no sign of life: %s", export.id, error)

    async def _make(self, export: Export) -> ExportState:
        try:
            job = await self._job(export)
            written = await asyncio.to_thread(self._write, job, asyncio.get_running_loop())
        except (RecipeError, DestinationError) as error:
            log.warning("export %d: %s", export.id, error, extra={"run": export.run_id})
            return await self._failed_by(export, str(error))
        except PASSING:
            raise
        except Exception as error:  # a plugin that breaks the export would break it again
            log.exception("export %d", export.id, extra={"run": export.run_id})
            return await self._failed_by(export, f"{type(error).__name__}: {error}; see the log")
        outcome = {name: sums.model_dump() for name, sums in written.outcome.items()}
        ended = {"outcome": outcome, "rows": len(job.positions), "error": written.problems}
        await self._update(export, state="written", **ended)
        return "written"

    async def _failed_by(self, export: Export, error: str) -> ExportState:
        await self._update(export, state="failed", error=error)
        return "failed"

    async def _job(self, export: Export) -> Job:
        async with self._ledger.begin() as connection:
            return await job_of(connection, export)

    async def _update(self, export: Export, **values: Any) -> None:
        async with self._ledger.begin() as connection:
            await exports.update_export(connection, export.id, export.run_id, **values)

    def _write(self, job: Job, loop: asyncio.AbstractEventLoop) -> _Written:
        """Blocking, in a thread of its own; the ledger is read through `loop`."""
        with plugin_files(job.recipe.plugins):
            return self._written(job, loop)

    def _written(self, job: Job, loop: asyncio.AbstractEventLoop) -> _Written:
        wait_for = WaitFor(loop)
        judges, aspects = pools_of(job.pool, job.desired.judges, job.scoring)
        folder, address = _places(job, self._exports_dir)
        destination = FilesDestination(FilesOptions(files=folder))
        spec: dict[str, JsonValue] = {
            "export": job.export.id,
            "run": job.run.created_at.isoformat(),
        }
        shard_rows = job.output.shard_rows
        with destination.open(formats_for(job), shard_rows, spec, job.split) as writer:
            self._fit(job, judges, aspects, wait_for)
            for row in self._made(job, (judges, aspects), writer.next_position, wait_for):
                writer.add(row)
                if row.row.position % 5000 == 0:
                    wait_for(lambda writer=writer: self._update(job.export, rows=writer.rows))
            facts = facts_of(job)
            failures = self._failures(job, wait_for)
            outcome = writer.finish(facts, manifest_of(job, facts), failures)
            made = _Written(outcome, "; ".join(writer.problems))
            spec_now = {**job.export.spec, "summary": writer.figures}
        where = self._published(job, folder, address, wait_for)
        wait_for(lambda: self._update(job.export, directory=where, spec=spec_now))
        return made

    def _published(self, job: Job, folder: Path, address: str | None, wait_for: WaitFor) -> str:
        """Where the dataset is, once it is in all places that want it. Until it is at `address`,
        the export names that: it is taken up again by it."""

        if job.so_far:
            return _shown_so_far(job, folder)
        where = str(folder.absolute())
        if address:
            store = StoreDestination(StoreOptions.model_validate({"files": address}))
            where = store.publish(folder)
        else:  # so that a place that refuses leaves an export whose data can be found
            wait_for(lambda: self._update(job.export, directory=where))
        for place in destinations_of(job.output):
            log.info("export %d: %s", job.export.id, place.publish(folder))
        log.info("export %d: written", job.export.id, extra={"run": job.export.run_id})
        return where

    def _fit(self, job: Job, judges: Pool, aspects: Pool, wait_for: WaitFor) -> None:
        """Show all rows to the pools that want to see them, aspects first: judges build on them."""
        names = job.scoring, job.desired.judges
        if needs_fit(aspects):
            rows = self._rows(job, 0, wait_for)
            aspects.fit(given for row in rows for given in aspect_ratings(row, *names))
        if needs_fit(judges):
            rows = self._rows(job, 0, wait_for)
            judges.fit(judge_ratings(row, aspects, *names, judges) for row in rows)

    def _made(
        self, job: Job, pools: tuple[Pool, Pool], start: int, wait_for: WaitFor
    ) -> Iterator[ScoredRow]:
        """Rows from a position on, scored, as transforms leave them."""
        chosen = transforms_of(job.output.transforms, "output.transforms")
        chain = Chain(chosen)
        rows = self._rows(job, 0 if any_stateful(chosen) else start, wait_for)
        made = (chain.scored(_scored(job, row, *pools)) for row in rows)
        return (row for row in made if row.row.position >= start)

    def _rows(self, job: Job, start: int, wait_for: WaitFor) -> Iterator[FinishedRow]:
        for page in _pages(job.positions[start:]):
            for row in wait_for(lambda page=page: self._page(job.run.id, page)):
                yield finished(row, job.desired, job.given)

    async def _page(self, run_id: int, positions: range) -> list[StoredRow]:
        async with self._ledger.begin() as connection:
            return await stored_rows(connection, run_id, positions)

    def _failures(self, job: Job, wait_for: WaitFor) -> Iterator[dict[str, Any]]:
        for page in _pages(job.positions):
            for failed in wait_for(lambda page=page: self._failed(job.run.id, page)):
                yield failure_of(job, failed)

    async def _failed(self, run_id: int, positions: range) -> list[FailedCell]:
        async with self._ledger.begin() as connection:
            return await status.failed_cells(connection, run_id, positions)


def _shown_so_far(job: Job, folder: Path) -> str:
    """Where the dataset so far is shown. The folder goes: the next one is made anew, and a
    destination knows what it has already."""
    try:
        places = [p for p in destinations_of(job.output) if getattr(p, "every", None)]
        return ", ".join(place.publish(folder) for place in places)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _places(job: Job, exports_dir: Path) -> tuple[Path, str]:
    """The folder an export is made in, and the address of the store it is put to, if any."""
    wanted = job.export.directory
    if "://" in wanted:
        digest = hashlib.sha256(wanted.encode()).hexdigest()[:8]
        return exports_dir / f"{job.run.name}-{digest}", wanted
    return exports_dir / (wanted or f"{job.run.name}-{job.export.id}"), ""


def _pages(positions: range) -> Iterator[range]:
    for start in range(0, len(positions), PAGE):
        yield positions[start : start + PAGE]


def _scored(job: Job, row: FinishedRow, judges: Pool, aspects: Pool) -> ScoredRow:
    wanted = job.desired
    names, who = wanted.aspects, wanted.judges
    return score_row(row, judges, aspects, job.quorum, names, who, job.scoring)

"""Exports: stored verdicts are pooled, formatted and written, without a call."""

import asyncio
import hashlib
import importlib.metadata
import json
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import JsonValue

from prefmill.contracts.api import ExportRequest, ExportState, FormatOutcome
from prefmill.contracts.recipe import Output, PoolStep, Recipe
from prefmill.contracts.rows import FinishedRow
from prefmill.ledger import exports, runs, status
from prefmill.ledger.database import Ledger
from prefmill.ledger.desired import Desired
from prefmill.ledger.exports import Export
from prefmill.ledger.finished import StoredRow, stored_rows
from prefmill.ledger.runs import Run, Slot
from prefmill.ledger.status import FailedCell
from prefmill.plugins.destination import DestinationError, destinations_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.format import Format, FormatContext
from prefmill.plugins.outputs import formats_of, with_formats
from prefmill.plugins.pool import Pool, needs_fit, pools_of
from prefmill.sink.counts import Counts
from prefmill.sink.destinations.card import CardFacts
from prefmill.sink.destinations.files import FilesDestination, FilesOptions
from prefmill.sink.destinations.stores import StoreDestination, StoreOptions
from prefmill.sink.domain.finishing import finished
from prefmill.sink.domain.pooling import aspect_ratings, judge_ratings, score_row

log: Final = logging.getLogger("prefmill.sink")

PAGE: Final = 500
T = TypeVar("T")


@dataclass(frozen=True)
class WaitFor:
    """Runs a coroutine on the service's loop from a thread, and gives its result."""

    loop: asyncio.AbstractEventLoop

    def __call__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(make(), self.loop).result()


@dataclass(frozen=True)
class Job:
    """What an export is made from, and how."""

    export: Export
    run: Run
    recipe: Recipe
    desired: Desired
    slots: dict[int, Slot]
    pool: PoolStep
    output: Output

    @property
    def given(self) -> dict[str, int]:
        """Slots of given responses, by name."""
        return {slot.alias: slot.id for slot in self.slots.values() if slot.kind == "given"}

    @property
    def positions(self) -> range:
        """The rows of the revision."""
        rows, wanted = self.run.rows, self.desired.rows
        return range(rows if wanted is None else min(rows, wanted))

    @property
    def scoring(self) -> tuple[str, ...]:
        """The aspects that make the score: those the recipe names, or the first rubric's."""
        first = self.desired.rubrics[:1]
        return self.pool.of or tuple(r.name_of(aspect) for r in first for aspect in r.aspects)

    @property
    def quorum(self) -> int:
        """Judges with a usable verdict that each aspect of a row needs."""
        return self.recipe.judge.quorum if self.recipe.judge else 1


class Exporter:
    """Makes one export after another."""

    def __init__(self, ledger: Ledger, exports_dir: Path, counts: Counts | None = None) -> None:
        self._ledger = ledger
        self._exports_dir = exports_dir
        self._counts = counts

    async def make(self, export: Export) -> None:
        """Make a claimed export; note in the ledger how it ended."""
        began = time.monotonic()
        state = await self._make(export)
        if self._counts is not None:
            self._counts.exports[state].add(time.monotonic() - began)

    async def _make(self, export: Export) -> ExportState:
        try:
            job = await self._job(export)
            outcome = await asyncio.to_thread(self._write, job, asyncio.get_running_loop())
        except (RecipeError, DestinationError) as error:
            log.warning("export %d: %s", export.id, error, extra={"run": export.run_id})
            await self._update(export, state="failed", error=str(error))
            return "failed"
        dumped = {name: sums.model_dump() for name, sums in outcome.items()}
        await self._update(export, state="written", outcome=dumped, rows=len(job.positions))
        return "written"

    async def _job(self, export: Export) -> Job:
        async with self._ledger.begin() as connection:
            run = await runs.run_by_id(connection, export.run_id)
            assert run is not None
            recipe = Recipe.model_validate(
                await runs.recipe_of(connection, run.id, export.revision)
            )
            desired = await runs.desired_of(connection, run.id, export.revision)
            slots = {slot.id: slot for slot in await runs.slots_of(connection, run.id)}
        asked = ExportRequest.model_validate(export.spec.get("request", {}))
        output = asked.output or recipe.output
        if asked.formats:
            output = with_formats(output, asked.formats)
        pool = asked.pool or recipe.pool
        return Job(export, run, recipe, desired, slots, pool, output)

    async def _update(self, export: Export, **values: Any) -> None:
        async with self._ledger.begin() as connection:
            await exports.update_export(connection, export.id, export.run_id, **values)

    def _write(self, job: Job, loop: asyncio.AbstractEventLoop) -> dict[str, FormatOutcome]:
        """Blocking, in a thread of its own; the ledger is read through `loop`."""

        wait_for = WaitFor(loop)
        judges, aspects = pools_of(job.pool, job.desired.judges, job.scoring)
        folder, address = _places(job, self._exports_dir)
        destination = FilesDestination(FilesOptions(files=folder))
        spec: dict[str, JsonValue] = {
            "export": job.export.id,
            "run": job.run.created_at.isoformat(),
        }
        with destination.open(_formats(job), job.output.shard_rows, spec) as writer:
            self._fit(job, judges, aspects, wait_for)
            for row in self._rows(job, writer.next_position, wait_for):
                writer.add(_scored(job, row, judges, aspects))
                if row.position % 5000 == 0:
                    wait_for(lambda writer=writer: self._update(job.export, rows=writer.rows))
            facts = _facts(job)
            failures = self._failures(job, wait_for)
            outcome = writer.finish(facts, _manifest(job, facts), failures)
            spec_now = {**job.export.spec, "summary": writer.figures}
        where = self._published(job, folder, address, wait_for)
        wait_for(lambda: self._update(job.export, directory=where, spec=spec_now))
        return outcome

    def _published(self, job: Job, folder: Path, address: str | None, wait_for: WaitFor) -> str:
        """Where the dataset is, once it is in all places that want it. Until it is at `address`,
        the export names that: it is taken up again by it."""

        def alive() -> None:
            wait_for(lambda: self._update(job.export))

        where = str(folder.absolute())
        if address:
            store = StoreDestination(StoreOptions.model_validate({"files": address}))
            where = store.publish(folder, alive)
        else:  # so that a place that refuses leaves an export whose data can be found
            wait_for(lambda: self._update(job.export, directory=where))
        for place in destinations_of(job.output):
            log.info("export %d: %s", job.export.id, place.publish(folder, alive))
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
                yield _failure(job, failed)

    async def _failed(self, run_id: int, positions: range) -> list[FailedCell]:
        async with self._ledger.begin() as connection:
            return await status.failed_cells(connection, run_id, positions)


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


def _formats(job: Job) -> list[Format]:
    context = FormatContext(
        judges=job.desired.judges,
        aspects=job.desired.aspects,
        pairing=job.output.pairing,
        seed=job.recipe.seed if job.output.pairing.seed is None else job.output.pairing.seed,
    )
    return formats_of(job.output, context)


def _scored(job: Job, row: FinishedRow, judges: Pool, aspects: Pool) -> Any:
    wanted = job.desired
    names, who = wanted.aspects, wanted.judges
    return score_row(row, judges, aspects, job.quorum, names, who, job.scoring)


def _facts(job: Job) -> CardFacts:
    models = {a: job.slots[s].model for a, s in {**job.given, **job.desired.models}.items()}
    return CardFacts(
        name=job.run.name,
        version=importlib.metadata.version("prefmill-sink"),
        models=models,
        judges={a: job.slots[s].model for r in job.desired.rubrics for a, s in r.judges.items()},
        rubric=" and ".join(rubric.label for rubric in job.desired.rubrics),
        aspects=job.desired.aspects,
        judges_pool=next(iter(job.pool.judges)),
        aspects_pool=next(iter(job.pool.aspects)),
        quorum=job.quorum,
        pairing=job.output.pairing,
        seed=job.recipe.seed,
        cost_usd=job.export.spec.get("cost_usd"),
        recipe=json.dumps(_recipe(job), indent=2, ensure_ascii=False),
    )


def _recipe(job: Job) -> dict[str, Any]:
    """As written; prompts that stand in it are left out of what goes to other places than a folder,
    since they may be those of rows that failed."""
    recipe = job.recipe.model_dump(mode="json", exclude_unset=True)
    return without_prompts(recipe) if job.output.destinations().keys() - {"files"} else recipe


def without_prompts(recipe: dict[str, Any]) -> dict[str, Any]:
    """A dumped recipe that says of prompts written into it only how many they are."""
    source = recipe["source"]
    if "inline" not in source:
        return recipe
    left_out = f"left out: {len(source['inline'] or ())} prompts"
    return {**recipe, "source": {**source, "inline": left_out}}


def _manifest(job: Job, facts: CardFacts) -> dict[str, Any]:
    return {
        "name": job.run.name,
        "revision": job.export.revision,
        "recipe": _recipe(job),
        "prefmill": facts.version,
        "seed": job.recipe.seed,
        "models": dict(facts.models),
        "judges": dict(facts.judges),
        "rubrics": [
            {"name": rubric.label, "hash": rubric.hash, "aspects": list(rubric.aspects)}
            for rubric in job.desired.rubrics
        ],
        "pool": job.pool.model_dump(mode="json"),
        "output": job.output.model_dump(mode="json"),
        "prompts": len(job.positions),
        "cost_usd": facts.cost_usd,
    }


def _failure(job: Job, failed: FailedCell) -> dict[str, Any]:
    slot = job.slots.get(failed.slot_id) if failed.slot_id is not None else None
    cell = {"kind": slot.kind, "alias": slot.alias, "sample": failed.sample} if slot else None
    if cell and failed.aspect:
        cell["aspect"] = failed.aspect
    return {"id": failed.row_id, "cell": cell, "reason": failed.reason, "detail": failed.detail}

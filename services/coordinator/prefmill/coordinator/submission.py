"""Recipes come in: a new run, a known one that goes on, a changed one, or only a question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.api import RunRequest
from prefmill.contracts.recipe import Recipe
from prefmill.coordinator.domain.changes import changes
from prefmill.coordinator.domain.plan import Plan, source_digest
from prefmill.coordinator.domain.resolved import (
    Placed,
    Resolved,
    ResolvedModel,
    as_written,
    resolve,
)
from prefmill.coordinator.domain.rubrics import ResolvedRubric
from prefmill.coordinator.domain.unchanged import refuse_other_source
from prefmill.ledger import planning, reuse, runs
from prefmill.ledger.database import Ledger, retried
from prefmill.ledger.desired import Desired, DesiredRubric
from prefmill.ledger.planning import StoredBatch
from prefmill.ledger.runs import Run
from prefmill.plugins.rubric import annotation_of, fingerprint_of


@dataclass(frozen=True)
class Submitted:
    """What became of a recipe; `withdrawn` are batches of the old revision still out."""

    run_id: int
    withdrawn: Sequence[StoredBatch] = ()


def dumped(recipe: Recipe) -> dict[str, Any]:
    """A recipe as it is stored and compared: only what was written."""
    return recipe.model_dump(mode="json", exclude_unset=True)


@retried
async def submit(ledger: Ledger, request: RunRequest, placed: Placed = as_written) -> Submitted:
    """Store what is asked. RecipeError if the recipe, or its change, cannot be run."""
    resolved = resolve(request.recipe, placed)
    async with ledger.begin() as connection:
        run = await runs.run_by_name(connection, request.recipe.name)
        if run and request.fresh:
            withdrawn = await _out(connection, run.id)
            await runs.archive(connection, run.id)
            return Submitted(await _create(connection, request, resolved), withdrawn)
        if run is None:
            return Submitted(await _create(connection, request, resolved))
        return Submitted(run.id, await _go_on(connection, request, resolved, run))


async def _create(connection: AsyncConnection, request: RunRequest, resolved: Resolved) -> int:
    run_id = await runs.create_run(
        connection,
        name=request.recipe.name,
        state="loading",
        fresh=request.fresh,
        directory=request.directory,
        source_digest=source_digest(resolved),
    )
    await _put_revision(connection, run_id, 1, resolved)
    await runs.notify(connection, run_id)
    return run_id


async def _go_on(
    connection: AsyncConnection, request: RunRequest, resolved: Resolved, run: Run
) -> Sequence[StoredBatch]:
    stored = await runs.recipe_of(connection, run.id, run.revision)
    values: dict[str, Any] = {"state": "loading", "reason": ""}
    if request.directory:
        values["directory"] = request.directory
    withdrawn: Sequence[StoredBatch] = ()
    if stored != dumped(request.recipe):
        refuse_other_source(run, resolved)
        withdrawn = await _out(connection, run.id)
        values |= {"revision": run.revision + 1, "source_done": False}
        await _put_revision(connection, run.id, run.revision + 1, resolved)
        await planning.drop_batches(connection, run.id)
        await planning.flag_all(connection, run.id)
    for lane in {model.lane.slug for model in (*resolved.models, *resolved.judges)}:
        await runs.pause_lane(connection, lane, None)
    await runs.update_run(connection, run.id, **values)
    return withdrawn


async def _out(connection: AsyncConnection, run_id: int) -> list[StoredBatch]:
    return await planning.published_batches(connection, run_id)


async def _put_revision(
    connection: AsyncConnection, run_id: int, number: int, resolved: Resolved
) -> None:
    models = (*resolved.models, *resolved.judges)
    await runs.register_lanes(connection, [m.lane.model_dump(mode="json") for m in models])
    slots = await runs.put_slots(connection, run_id, [_slot(model) for model in models])
    ids = {key: slot.id for key, slot in slots.items()}
    desired = desired_of(resolved, ids)
    await runs.add_revision(connection, run_id, number, dumped(resolved.recipe), desired)


def desired_of(resolved: Resolved, slots: Mapping[bytes, int]) -> Desired:
    """What a recipe wants, by the ledger's slots, which are given by their keys."""
    models, judges = resolved.recipe.models, resolved.recipe.judges
    return Desired(
        models={model.alias: slots[model.key] for model in resolved.models},
        samples={alias: spec.samples for alias, spec in models.items() if spec.samples > 1},
        rubrics=tuple(_rubric(resolved, rubric, slots) for rubric in resolved.rubrics),
        judge_samples={alias: spec.samples for alias, spec in judges.items() if spec.samples > 1},
        principles=resolved.principles,
        rows=rows_wanted(resolved),
    )


def _rubric(resolved: Resolved, made: ResolvedRubric, slots: Mapping[bytes, int]) -> DesiredRubric:
    rubric = made.rubric
    return DesiredRubric(
        label=made.label,
        shows=made.shows,
        hash=rubric.fingerprint(),
        aspects={aspect: fingerprint_of(rubric, aspect) for aspect in rubric.aspects},
        names=made.names,
        people={aspect: annotation_of(rubric, aspect) for aspect in rubric.aspects},
        judges={judge.alias: slots[judge.key] for judge in resolved.judges_with(made)},
        least=resolved.least_generations(made.shows),
    )


def rows_wanted(resolved: Resolved) -> int | None:
    """How many rows the recipe limits its source to."""
    rows = resolved.recipe.source.get("rows")
    return rows if isinstance(rows, int) else None


def _slot(model: ResolvedModel) -> dict[str, Any]:
    return {
        "kind": model.kind,
        "alias": model.label,
        "key": model.key,
        "model": model.model,
        "lane": model.lane.slug,
    }


async def plan_of(connection: AsyncConnection, run: Run, placed: Placed = as_written) -> Plan:
    """The plan of a run's current revision."""
    stored = await runs.recipe_of(connection, run.id, run.revision)
    slots = await runs.slots_of(connection, run.id)
    return Plan(
        run_id=run.id,
        revision=run.revision,
        resolved=resolve(Recipe.model_validate(stored), placed),
        desired=await runs.desired_of(connection, run.id, run.revision),
        given={slot.alias: slot.id for slot in slots if slot.kind == "given"},
        reuse=not run.fresh and await reuse.anything_to_copy(connection, run.id),
    )


async def difference(ledger: Ledger, recipe: Recipe) -> tuple[Run | None, list[str]]:
    """The stored run of that name, and what the recipe would change of it, a line each."""
    async with ledger.begin() as connection:
        run = await runs.run_by_name(connection, recipe.name)
        if run is None:
            return None, []
        stored = await runs.recipe_of(connection, run.id, run.revision)
        return run, changes(stored, dumped(recipe))

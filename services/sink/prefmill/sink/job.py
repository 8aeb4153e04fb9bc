"""What an export is made from, and what it says of itself."""

import importlib.metadata
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.api import ExportRequest
from prefmill.contracts.recipe import Output, PoolStep, Recipe
from prefmill.ledger import runs
from prefmill.ledger.desired import Desired
from prefmill.ledger.exports import Export
from prefmill.ledger.runs import Run, Slot
from prefmill.ledger.status import FailedCell
from prefmill.plugins.files import plugin_files
from prefmill.plugins.format import Format, FormatContext
from prefmill.plugins.outputs import formats_of, with_formats
from prefmill.sink.destinations.card import CardFacts
from prefmill.sink.domain.shown import name_of, shown, text_of, without_prompts
from prefmill.sink.domain.splitting import Split


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
    def so_far(self) -> bool:
        """Whether the run goes on: only for destinations that want what there is."""
        return "so_far" in self.export.spec

    @property
    def split(self) -> Split:
        """Which prompts are kept for a test."""
        return Split(self.output.test, self.recipe.seed)

    @property
    def quorum(self) -> int:
        """Judges with a usable verdict that each aspect of a row needs."""
        return self.recipe.judge.quorum if self.recipe.judge else 1


async def job_of(connection: AsyncConnection, export: Export) -> Job:
    """The job of an export, read from the ledger."""
    run = await runs.run_by_id(connection, export.run_id)
    assert run is not None
    recipe = Recipe.model_validate(await runs.recipe_of(connection, run.id, export.revision))
    desired = await runs.desired_of(connection, run.id, export.revision)
    slots = {slot.id: slot for slot in await runs.slots_of(connection, run.id)}
    asked = ExportRequest.model_validate(export.spec.get("request", {}))
    pool = asked.pool or recipe.pool
    with plugin_files(recipe.plugins):
        return Job(export, run, recipe, desired, slots, pool, output_of(recipe, asked))


def output_of(recipe: Recipe, asked: ExportRequest) -> Output:
    """The recipe's, with what the request says instead. What goes to the recipe's other places is
    the recipe's dataset: another one asked for does not replace it there."""
    output = asked.output or recipe.output
    if not asked.output and (asked.formats or asked.pairing or asked.pool):
        output = output.in_its_folder()
    if asked.pairing:
        said = {name: getattr(asked.pairing, name) for name in asked.pairing.model_fields_set}
        pairing = output.pairing.model_copy(update=said)
        output = output.model_copy(update={"pairing": pairing})
    return with_formats(output, asked.formats) if asked.formats else output


def formats_for(job: Job) -> list[Format]:
    """The formats that it writes."""
    context = FormatContext(
        judges=job.desired.judges,
        aspects=job.desired.aspects,
        pairing=job.output.pairing,
        seed=job.recipe.seed if job.output.pairing.seed is None else job.output.pairing.seed,
        test=job.output.test,
    )
    return formats_of(job.output, context)


def facts_of(job: Job) -> CardFacts:
    """What its card says beside the figures."""
    models = {**job.given, **job.desired.models}
    judges = {alias: slot for r in job.desired.rubrics for alias, slot in r.judges.items()}
    return CardFacts(
        name=job.run.name,
        version=importlib.metadata.version("prefmill-sink"),
        models={alias: name_of(job.slots[slot].model) for alias, slot in models.items()},
        judges={alias: name_of(job.slots[slot].model) for alias, slot in judges.items()},
        rubric=" and ".join(rubric.label for rubric in job.desired.rubrics),
        aspects=job.desired.aspects,
        judges_pool=next(iter(job.pool.judges)),
        aspects_pool=next(iter(job.pool.aspects)),
        quorum=job.quorum,
        pairing=job.output.pairing,
        seed=job.recipe.seed,
        cost_usd=job.export.spec.get("cost_usd"),
        recipe=text_of(_recipe(job)),
        split=job.split,
    )


def _recipe(job: Job) -> dict[str, Any]:
    """As it may be seen; prompts that stand in it are left out of what goes to other places than a
    folder, since they may be those of rows that failed."""
    recipe = shown(job.recipe.model_dump(mode="json", exclude_unset=True))
    return without_prompts(recipe) if job.output.destinations().keys() - {"files"} else recipe


def manifest_of(job: Job, facts: CardFacts) -> dict[str, Any]:
    """Its `run.json`, outcome and figures aside."""
    return {
        "name": job.run.name,
        "revision": job.export.revision,
        "recipe": _recipe(job),
        "prefmill": facts.version,
        "seed": job.recipe.seed,
        "models": dict(facts.models),
        "judges": dict(facts.judges),
        "rubrics": [
            {
                "name": rubric.label,
                "hash": rubric.hash,
                "aspects": list(rubric.aspects),
                "people": {
                    rubric.name_of(aspect): rubric.annotation_of(aspect).model_dump(mode="json")
                    for aspect in rubric.aspects
                },
            }
            for rubric in job.desired.rubrics
        ],
        "pool": job.pool.model_dump(mode="json"),
        "output": job.output.model_dump(mode="json"),
        "prompts": len(job.positions),
        "cost_usd": facts.cost_usd,
    }


def failure_of(job: Job, failed: FailedCell) -> dict[str, Any]:
    """A line of its `failures.jsonl`."""
    slot = job.slots.get(failed.slot_id) if failed.slot_id is not None else None
    cell = {"kind": slot.kind, "alias": slot.alias, "sample": failed.sample} if slot else None
    if cell and failed.aspect:
        cell["aspect"] = failed.aspect
    return {
        "id": failed.row_id,
        "row": failed.position,
        "cell": cell,
        "reason": failed.reason,
        "detail": failed.detail,
    }

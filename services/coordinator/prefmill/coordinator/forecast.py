"""What a recipe would call, before anything is spent: the estimate, less what is stored."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prefmill.contracts.api import RunPlan, RunRequest, SlotPlan
from prefmill.contracts.rows import Prompt
from prefmill.coordinator.domain.estimate import SAMPLE, estimate
from prefmill.coordinator.domain.plan import content_of
from prefmill.coordinator.domain.resolved import Placed, Resolved, as_written, resolve
from prefmill.coordinator.domain.rubrics import ResolvedRubric
from prefmill.coordinator.domain.unchanged import kept, refuse_other_rows, refuse_other_source
from prefmill.coordinator.held import Cells, Known, fillable, known, unasked
from prefmill.ledger.database import Ledger
from prefmill.ledger.runs import Run
from prefmill.plugins.rubric import fingerprint_of


async def forecast(
    ledger: Ledger,
    request: RunRequest,
    run: Run | None,
    changed: Sequence[str],
    placed: Placed = as_written,
) -> RunPlan:
    """The plan of a recipe. RecipeError if it cannot be run: what submitting it would refuse is
    refused here already.

    What is stored is counted by its run's tallies, and by digest for the first SAMPLE rows: beyond
    them, what other runs have answered is counted as to be called, and so are verdicts on answers
    that have failed, unless a finished run is asked for no other cell.
    """
    resolved = resolve(request.recipe, placed)
    if run is None or request.fresh:
        run, changed = None, ()
    elif changed:
        refuse_other_source(run, resolved)
    stored = await known(ledger, run, SAMPLE, sources=resolved.principles is not None)
    plan, seen = await asyncio.to_thread(_estimate, resolved, stored)
    if request.fresh:
        return plan
    cells = _closed(stored, resolved) + await fillable(ledger, resolved, stored, seen)
    done = run is not None and run.state == "finished" and _loaded(plan, run)
    done = done and (not changed or stored.wants(resolved))
    never = unasked(resolved, stored)
    slots = tuple(_less(slot, cells, never, all_stored=done) for slot in plan.slots)
    told = (*plan.warnings, *(kept(run, changed) if run else ()))
    return plan.model_copy(
        update={
            "slots": slots,
            "new_revision": bool(changed),
            "changes": tuple(changed),
            "warnings": told,
        }
    )


def _loaded(plan: RunPlan, run: Run) -> bool:
    return plan.rows is None or plan.rows <= run.rows


def _estimate(resolved: Resolved, stored: Known) -> tuple[RunPlan, list[Prompt]]:
    """The plan as if nothing were stored, and the first rows. RecipeError if those of a stored run
    are not what they were."""
    seen: list[Prompt] = []
    plan = estimate(resolved, _tapped(resolved.prompts(), seen), drawn=stored.drawn)
    if stored.run and stored.run.source_fingerprint != resolved.source.fingerprint():
        read = [(prompt, content_of(prompt)) for prompt in seen[: len(stored.contents)]]
        refuse_other_rows(stored.contents, read, 0)
    return plan, seen


def _tapped(prompts: Iterable[Prompt], seen: list[Prompt]) -> Iterator[Prompt]:
    for prompt in prompts:
        if len(seen) < SAMPLE:
            seen.append(prompt)
        yield prompt


def _closed(stored: Known, resolved: Resolved) -> Cells:
    """Cells closed in the run itself for exactly that model or judge."""
    slots = {(slot.kind, slot.key): slot.id for slot in stored.slots}
    before = stored.desired.rubrics if stored.desired else ()
    asked = {slot: rubric.aspects for rubric in before for slot in rubric.judges.values()}
    cells: Cells = Counter()
    for model in (*resolved.models, *resolved.judges):
        slot = slots.get((model.kind, model.key))
        tally = stored.tallies.get(slot) if slot is not None else None
        closed = tally.done + tally.failed if tally else 0
        share = _kept(model.rubric, asked.get(slot or 0, {})) if model.rubric else 1.0
        cells[model.kind, model.label] = round(closed * share)
    return cells


def _kept(made: ResolvedRubric, before: Mapping[str, str]) -> float:
    """The share of a slot's verdicts that still count: those on aspects that are asked about as
    they were before."""
    aspects = {aspect: fingerprint_of(made.rubric, aspect) for aspect in made.rubric.aspects}
    same = sum(aspects.get(aspect) == hashed for aspect, hashed in before.items())
    return same / len(before) if before else 1.0


def _less(slot: SlotPlan, cells: Cells, never: Cells, *, all_stored: bool) -> SlotPlan:
    """The calls of a slot without those that are stored, and those that are never made; tokens and
    cost in proportion."""
    key = slot.kind, slot.alias
    stored = cells[key]
    calls = 0 if all_stored else max(0, slot.calls - stored - never[key])
    share = calls / slot.calls if slot.calls else 0.0
    return slot.model_copy(
        update={
            "calls": calls,
            "stored": stored,
            "input_tokens": round(slot.input_tokens * share),
            "output_tokens": round(slot.output_tokens * share),
            "cost_usd": None if slot.cost_usd is None else slot.cost_usd * share,
        }
    )

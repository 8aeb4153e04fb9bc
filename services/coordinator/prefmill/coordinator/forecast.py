"""What a recipe would call, before anything is spent: the estimate, less what is stored."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from prefmill.contracts.api import RunPlan, RunRequest, SlotPlan
from prefmill.coordinator.domain.estimate import estimate
from prefmill.coordinator.domain.resolved import Placed, Resolved, as_written, resolve
from prefmill.coordinator.domain.rubrics import ResolvedRubric
from prefmill.ledger import runs, status
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
    """The plan of a recipe. RecipeError if it cannot be run."""
    resolved = resolve(request.recipe, placed)
    plan = await asyncio.to_thread(_estimate, resolved)
    if run is None or request.fresh:
        return plan
    stored = await _stored(ledger, run, resolved)
    done = run.state == "finished" and not changed
    slots = tuple(
        _less(slot, stored[slot.kind, slot.alias], all_stored=done) for slot in plan.slots
    )
    return plan.model_copy(
        update={"slots": slots, "new_revision": bool(changed), "changes": tuple(changed)}
    )


def _estimate(resolved: Resolved) -> RunPlan:
    return estimate(resolved, resolved.prompts())


async def _stored(ledger: Ledger, run: Run, resolved: Resolved) -> Counter[tuple[str, str]]:
    """(kind, alias) → cells stored for exactly that model or judge."""
    stored: Counter[tuple[str, str]] = Counter()
    async with ledger.begin() as connection:
        slots = {(s.kind, s.key): s.id for s in await runs.slots_of(connection, run.id)}
        tallies = await status.tallies(connection, run.id)
        before = await runs.desired_of(connection, run.id, run.revision)
    asked = {slot: r.aspects for r in before.rubrics for slot in r.judges.values()}
    for model in (*resolved.models, *resolved.judges):
        slot = slots.get((model.kind, model.key))
        tally = tallies.get(slot) if slot is not None else None
        closed = tally.done + tally.failed if tally else 0
        share = _kept(model.rubric, asked.get(slot or 0, {})) if model.rubric else 1.0
        stored[model.kind, model.label] = round(closed * share)
    return stored


def _kept(made: ResolvedRubric, before: Mapping[str, str]) -> float:
    """The share of a slot's verdicts that still count: those on aspects that are asked about as
    they were before."""
    aspects = {aspect: fingerprint_of(made.rubric, aspect) for aspect in made.rubric.aspects}
    same = sum(aspects.get(aspect) == hashed for aspect, hashed in before.items())
    return same / len(before) if before else 1.0


def _less(slot: SlotPlan, stored: int, *, all_stored: bool) -> SlotPlan:
    """The calls of a slot without those that are stored, tokens and cost in proportion."""
    calls = 0 if all_stored else max(0, slot.calls - stored)
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

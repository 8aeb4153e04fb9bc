"""What the ledger holds of a recipe before it is run: the planner's own question, asked early.

Rows of a stored run are taken as they are stored; those to be loaded as they would be. Of them, the
cells that a stored answer or verdict of equal digest would fill are counted: answers first, then
the verdicts on them.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prefmill.contracts.rows import Prompt
from prefmill.coordinator.domain.cells import Lacking, lacking
from prefmill.coordinator.domain.duplicates import refused_if_taken
from prefmill.coordinator.domain.plan import Plan, content_of
from prefmill.coordinator.domain.resolved import Resolved
from prefmill.coordinator.domain.rubrics import ResolvedRubric
from prefmill.coordinator.submission import desired_of, rows_wanted
from prefmill.ledger import reuse, rows, runs, status
from prefmill.ledger.database import Ledger
from prefmill.ledger.desired import Desired, answer_key, subsets
from prefmill.ledger.row_states import RowState, row_states
from prefmill.ledger.runs import Run, Slot
from prefmill.ledger.status import Tally
from prefmill.plugins.principles import source_of

Cells = Counter[tuple[str, str]]
"""(kind, label) of a model or judge → cells."""

_Wanted = list[tuple[RowState, Lacking]]


@dataclass(frozen=True)
class Known:
    """What is stored of a run; nothing where there is none. Of its rows, the first ones."""

    run: Run | None = None
    slots: Sequence[Slot] = ()
    tallies: Mapping[int, Tally] = field(default_factory=dict[int, Tally])
    desired: Desired | None = None
    """What its newest revision wants."""
    states: Mapping[int, RowState] = field(default_factory=dict[int, RowState])
    contents: Sequence[bytes] = ()

    @property
    def drawn(self) -> dict[int, Sequence[str]]:
        """Position → the models drawn for the row: never remade."""
        return {position: row.models for position, row in self.states.items() if not row.given}

    def ids(self, resolved: Resolved) -> dict[bytes, int]:
        """Key → slot. What a recipe names and is not yet stored gets negative ids."""
        ids = {slot.key: slot.id for slot in self.slots}
        for model in (*resolved.models, *resolved.judges):
            ids.setdefault(model.key, -1 - len(ids))
        return ids

    def wants(self, resolved: Resolved) -> bool:
        """Whether the cells that a recipe wants are those of the newest revision."""
        return desired_of(resolved, self.ids(resolved)) == self.desired


async def known(ledger: Ledger, run: Run | None, most: int, *, sources: bool) -> Known:
    """What is stored of a run, and its first `most` rows; `sources` as for `row_states`."""
    if run is None:
        return Known()
    async with ledger.begin() as connection:
        first = range(min(run.rows, most))
        states = await row_states(connection, run.id, first, sources=sources)
        return Known(
            run=run,
            slots=await runs.slots_of(connection, run.id),
            tallies=await status.tallies(connection, run.id),
            desired=await runs.desired_of(connection, run.id, run.revision),
            states={row.position: row for row in states},
            contents=await rows.contents(connection, run.id, 0, len(first)),
        )


async def fillable(
    ledger: Ledger, resolved: Resolved, known: Known, prompts: Sequence[Prompt]
) -> Cells:
    """The cells of these rows, from the first on, that are open and would be filled from the
    ledger without a call."""
    if known.run and known.run.fresh:
        return Cells()
    async with ledger.begin() as connection:
        if not await reuse.anything_to_copy(connection, known.run.id if known.run else 0):
            return Cells()
        plan, states = await asyncio.to_thread(_rows, resolved, known, prompts)
        answers = await asyncio.to_thread(_wanted, plan, states, judged=False)
        texts = await reuse.answers_like(connection, [cell.digest for _, cell in answers])
        for row, cell in answers:
            if cell.digest in texts:
                row.answers[cell.key.slot_id, cell.key.sample] = texts[cell.digest]
        verdicts = await asyncio.to_thread(_wanted, plan, states, judged=True)
        judged = await reuse.verdicts_like(connection, [cell.digest for _, cell in verdicts])
    filled = [cell for _, cell in answers if cell.digest in texts]
    filled += [cell for _, cell in verdicts if cell.digest in judged]
    return Counter((cell.slot.model.kind, cell.slot.model.label) for cell in filled)


def unasked(resolved: Resolved, known: Known) -> Cells:
    """The verdicts on these rows that nobody is asked for, as answers to be judged have failed."""
    ids, limit = known.ids(resolved), rows_wanted(resolved)
    models = {model.alias: model for model in resolved.models}
    cells = Cells()
    for row in known.states.values():
        if row.given or not row.failures or (limit is not None and row.position >= limit):
            continue
        drawn = [models[alias] for alias in row.models if alias in models]
        asked = [(ids[m.key], sample) for m in drawn for sample in range(m.spec.samples)]
        left = sum(answer_key(cell) not in row.failures for cell in asked)
        for made in resolved.rubrics if left < len(asked) else ():
            fewer = _sets(resolved, made, len(asked)) - _sets(resolved, made, left)
            for judge in resolved.judges_with(made):
                calls = fewer * len(made.rubric.aspects) * judge.spec.samples
                cells["judge", judge.label] += calls
    return cells


def _sets(resolved: Resolved, made: ResolvedRubric, texts: int) -> int:
    """On how many sets of texts of a row there are verdicts."""
    enough = texts >= resolved.least_generations(made.shows)
    return len(subsets(made.shows, texts)) if enough else 0


def _rows(
    resolved: Resolved, known: Known, prompts: Sequence[Prompt]
) -> tuple[Plan, list[RowState]]:
    """The rows, with the plan by which they lack cells. Slots not yet stored get negative ids."""
    ids = known.ids(resolved)
    given = {slot.alias: slot.id for slot in known.slots if slot.kind == "given"}
    for name in sorted({made.model for prompt in prompts for made in prompt.responses}):
        given.setdefault(name, -1 - len(ids) - len(given))
    run_id = known.run.id if known.run else 0
    plan = Plan(run_id, 0, resolved, desired_of(resolved, ids), given, reuse=True)
    taken: set[str] = set()
    states: list[RowState] = []
    for position, read in enumerate(prompts):
        prompt = refused_if_taken(read, taken)
        if position in known.states:
            states.append(known.states[position])
        elif position >= len(known.contents) and prompt.failure is None:
            states.append(_new(plan, position, prompt))
    return plan, states


def _new(plan: Plan, position: int, prompt: Prompt) -> RowState:
    """A row as the loader would store it."""
    sampler, given = plan.resolved.sampler, prompt.responses
    drawn = tuple(sampler.draw(position)) if sampler else ()
    return RowState(
        position,
        content_of(prompt),
        tuple(made.model for made in given) if given else drawn,
        bool(given),
        source_of(prompt) if plan.desired.principles else None,
        answers={
            (plan.given[made.model], 0): hashlib.sha256(made.text.encode()).digest()
            for made in given
            if made.text
        },
    )


def _wanted(plan: Plan, states: Sequence[RowState], *, judged: bool) -> _Wanted:
    """The verdicts, or the answers, that the rows lack now."""
    return [
        (row, cell)
        for row in states
        for cell in lacking(row, plan)
        if bool(cell.key.aspect) == judged
    ]

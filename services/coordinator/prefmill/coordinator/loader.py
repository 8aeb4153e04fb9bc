"""Prompts flow from a source into the ledger, each with the models drawn for it."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from prefmill.contracts.rows import Prompt
from prefmill.coordinator.domain.duplicates import refused_if_taken
from prefmill.coordinator.domain.plan import Plan, content_of
from prefmill.coordinator.domain.unchanged import refuse_other_rows
from prefmill.ledger import rows as ledger_rows
from prefmill.ledger import runs
from prefmill.ledger.database import Ledger
from prefmill.ledger.rows import LoadedRow
from prefmill.plugins.digest import digest_of

CHUNK: Final = 256


async def load(ledger: Ledger, plan: Plan) -> None:
    """Load the rows that the ledger does not hold yet; what it holds must be unchanged.

    RecipeError if the source cannot be read, or differs from what was loaded before.
    """
    source = plan.resolved.source
    fingerprint = await asyncio.to_thread(source.fingerprint)
    async with ledger.begin() as connection:
        run = await runs.run_by_id(connection, plan.run_id)
    assert run is not None
    same = run.rows > 0 and run.source_fingerprint == fingerprint
    start = run.rows if same else 0
    prompts = iter(plan.resolved.prompts(start))
    while chunk := await asyncio.to_thread(_take, prompts):
        await _store(ledger, plan, start, chunk, run.rows)
        start += len(chunk)
    async with ledger.begin() as connection:
        await runs.update_run(
            connection, plan.run_id, source_done=True, source_fingerprint=fingerprint
        )


def _take(prompts: Iterator[Prompt]) -> list[tuple[Prompt, bytes]]:
    """The next prompts, and what each asks."""
    return [(prompt, content_of(prompt)) for prompt in islice(prompts, CHUNK)]


async def _store(
    ledger: Ledger,
    plan: Plan,
    start: int,
    chunk: Sequence[tuple[Prompt, bytes]],
    known: int,
) -> None:
    """Compare the rows that are stored already, store the others."""
    old = max(0, min(known - start, len(chunk)))
    async with ledger.begin() as connection:
        if old:
            stored = await ledger_rows.contents(connection, plan.run_id, start, old)
            refuse_other_rows(stored, chunk, start)
        if old == len(chunk):
            return
        ids = [prompt.id for prompt, _ in chunk[old:]]
        taken = set(await ledger_rows.known_ids(connection, plan.run_id, ids))
        new = [
            _loaded(plan, start + old + index, prompt, content, taken)
            for index, (prompt, content) in enumerate(chunk[old:])
        ]
        await _store_given(ledger, plan, new)
        await ledger_rows.insert_rows(connection, plan.run_id, new)
        given = [
            (row.position, plan.given[response.model], response.text)
            for row in new
            for response in row.prompt.responses
            if response.text and row.prompt.failure is None
        ]
        if given:
            await ledger_rows.insert_given(connection, plan.run_id, given)


def _loaded(
    plan: Plan, position: int, prompt: Prompt, content: bytes, taken: set[str]
) -> LoadedRow:
    prompt = refused_if_taken(prompt, taken)
    if prompt.responses:
        models = tuple(response.model for response in prompt.responses)
    else:
        sampler = plan.resolved.sampler
        models = sampler.draw(position) if sampler else ()
    return LoadedRow(position, prompt, content, models)


async def _store_given(ledger: Ledger, plan: Plan, rows: Sequence[LoadedRow]) -> None:
    """Slots for those who wrote the given responses, each the first time it is met."""
    names = {given.model for row in rows for given in row.prompt.responses}
    unknown = sorted(names - plan.given.keys())
    if not unknown:
        return
    keys = {name: digest_of("given", name) for name in unknown}
    async with ledger.begin() as connection:
        slots = [
            {"kind": "given", "alias": name, "key": key, "model": name, "lane": ""}
            for name, key in keys.items()
        ]
        stored = await runs.put_slots(connection, plan.run_id, slots)
    for name, key in keys.items():
        plan.given[name] = stored[key].id

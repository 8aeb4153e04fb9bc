"""A principle travels from the draw to the model, to the judge and into the finished row."""

from typing import Any

from prefmill.contracts.recipe import Recipe
from prefmill.contracts.results import Reply
from prefmill.contracts.rows import FinishedRow, Generation
from prefmill.contracts.work import Batch, GenerateBatch, JudgeBatch
from prefmill.ledger.finished import stored_rows
from prefmill.sink.domain.finishing import finished

from .rig import RECIPE, Rig, recipe, reply_to

ODDS = ["honesty", "helpfulness", "truthfulness"]


def principled(principles: Any, **changes: Any) -> Recipe:
    """Eight prompts of two sources, one of them with a system prompt of its own."""
    rows: list[dict[str, Any]] = [
        {"prompt": f"Question {number}?", "source": ("flan", "web")[number % 2]}
        for number in range(8)
    ]
    rows[0]["system"] = "You are a poet."
    generate = {"principles": principles, "system": "Be brief."}
    return recipe(source={"inline": rows}, generate=generate, **changes)


class Watched:
    """What models were sent, by (row, slot, sample), and what judges were told, by row."""

    def __init__(self) -> None:
        self.sent: dict[tuple[int, int, int], str] = {}
        self.told: dict[int, tuple[str | None, ...]] = {}

    def __call__(self, batch: Batch) -> Reply:
        if isinstance(batch, GenerateBatch):
            for row in batch.rows:
                for cell in row.cells:
                    key = (row.row, batch.slot, cell.sample)
                    assert key not in self.sent
                    assert row.messages[0].content.endswith(cell.system or "")
                    assert (cell.system is None) == (cell.principle is None)
                    self.sent[key] = row.messages[0].content
        elif isinstance(batch, JudgeBatch):
            self.told.update({row.row: row.principles for row in batch.rows})
        return reply_to(batch)


async def finished_rows(rig: Rig) -> list[FinishedRow]:
    async with rig.ledger.begin() as connection:
        rows = await stored_rows(connection, rig.plan.run_id, range(8))
    return [finished(row, rig.plan.desired, {}) for row in rows]


def generations(rows: list[FinishedRow]) -> dict[tuple[int, str, int], Generation]:
    return {(row.position, g.model, g.sample): g for row in rows for g in row.generations}


async def test_each_answer_has_its_principle_in_its_request_and_judges_are_told(rig: Rig) -> None:
    models = {alias: {**spec, "samples": 2} for alias, spec in RECIPE["models"].items()}
    await rig.submit(principled({"odds": {"*": ODDS}}, models=models))
    watched = Watched()
    assert await rig.work(watched) == 8 * (4 + 2)
    rows = await finished_rows(rig)
    slots = rig.plan.desired.models
    for (position, model, sample), generation in generations(rows).items():
        system = "You are a poet." if position == 0 else "Be brief."
        sent = watched.sent.pop((position, slots[model], sample))
        assert sent == f"{system}\n\n{generation.system}"
    assert not watched.sent
    for row in rows:
        assert watched.told[row.position] == tuple(g.system for g in row.generations)
        assert len(row.verdicts) == 2
    assert {g.principle for row in rows for g in row.generations} == set(ODDS)


async def test_only_answers_that_are_told_something_else_are_asked_anew(rig: Rig) -> None:
    odds: dict[str, Any] = {"flan": ODDS, "web": "honesty"}
    await rig.submit(principled({"odds": odds}))
    assert await rig.work() == 8 * (2 + 2)
    before = generations(await finished_rows(rig))
    await rig.submit(principled({"odds": odds | {"web": {"honesty": 1, "helpfulness": 1}}}))
    calls = Watched()
    await rig.work(calls)
    after = generations(await finished_rows(rig))
    changed = {key for key in before if before[key].system != after[key].system}
    slots = rig.plan.desired.models
    assert calls.sent.keys() == {(row, slots[model], n) for row, model, n in changed}
    assert 0 < len(changed) < 8
    assert all(position % 2 for position, _, _ in changed)


async def test_a_judge_that_is_added_or_a_restart_changes_no_principle(rig: Rig) -> None:
    await rig.submit(principled("ultrafeedback"))
    await rig.work()
    before = generations(await finished_rows(rig))
    judges = {**RECIPE["judges"], "k": {"engine": "simulated", "model": "sim-k"}}
    await rig.submit(principled("ultrafeedback", judges=judges))
    assert await rig.work() == 8 * 2
    assert generations(await finished_rows(rig)) == before


async def test_what_was_planned_by_another_process_is_told_the_same(rig: Rig) -> None:
    """The cells of a batch are derived again when the one that planned it is gone."""
    await rig.submit(principled({"odds": {"flan": ODDS}}))
    await rig.step(lanes=[])
    rig.plan.carried.clear()
    watched = Watched()
    assert await rig.work(watched) == 8 * (2 + 2)
    slots = rig.plan.desired.models
    for (position, model, n), generation in generations(await finished_rows(rig)).items():
        assert (generation.system is None) == bool(position % 2)
        sent = watched.sent[position, slots[model], n]
        assert sent.endswith(generation.system or "Be brief.")


async def test_a_row_that_dies_alone_fails_whatever_its_answers_were_told(rig: Rig) -> None:
    models = {"a": {**RECIPE["models"]["a"], "samples": 3}}
    await rig.submit(principled({"odds": {"*": ODDS}}, models=models))
    for _ in range(2):
        await rig.step()
        for batch in await rig.take():
            assert isinstance(batch, GenerateBatch)
            await rig.bury(batch)
    assert await rig.count("failure", "reason = 'died'") == 8 * 3

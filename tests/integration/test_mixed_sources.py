"""Rows of several sources, so many of each, go into the ledger, also in more than one go."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefmill.contracts.recipe import Recipe
from prefmill.contracts.results import Reply
from prefmill.contracts.work import Batch, JudgeBatch, Reference
from prefmill.coordinator.loader import load
from prefmill.ledger.finished import StoredRow, stored_rows
from prefmill.plugins.errors import RecipeError

from .rig import RECIPE, Rig, recipe, reply_to

NOTE = "The question rests on a false premise."


def mixed(tmp_path: Path, rows: int, **changes: Any) -> Recipe:
    """Two flan and three false questions out of a file of many, then two of the recipe's own."""
    path = tmp_path / "data.jsonl"
    if not path.exists():
        data = [
            {"prompt": f"{source} {number}", "source": source, "answer": f"A{number}"}
            for number in range(6)
            for source in ("flan", "web", "false_qa")
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in data))
    take = {
        "flan": {"rows": 2, "columns": {"reference": "answer"}},
        "false_qa": {"rows": 3, "note": NOTE},
    }
    sources = [{"jsonl": str(path), "take": take}, {"name": "own", "inline": ["mine 0", "mine 1"]}]
    return recipe(source={"mix": sources, "rows": rows}, **changes)


async def stored(rig: Rig) -> list[StoredRow]:
    async with rig.ledger.begin() as connection:
        return await stored_rows(connection, rig.plan.run_id, range(100))


async def test_rows_of_a_mix_come_in_order_and_more_of_them_go_on_behind_the_last(
    rig: Rig, tmp_path: Path
) -> None:
    await rig.submit(mixed(tmp_path, 3))
    assert await rig.work() == 3 * (2 + 2)
    before = await stored(rig)
    await rig.submit(mixed(tmp_path, 100))
    assert await rig.work() == 4 * (2 + 2)
    rows = await stored(rig)
    assert [row.prompt for row in rows[:3]] == [row.prompt for row in before]
    instructions = [row.prompt.instruction for row in rows]
    assert instructions[:4] == ["flan 0", "false_qa 0", "flan 1", "false_qa 1"]
    assert instructions[4:] == ["false_qa 2", "mine 0", "mine 1"]
    assert [row.prompt.id for row in rows] == [*(f"1/{n}" for n in range(5)), "own/0", "own/1"]
    assert [row.prompt.metadata["source"] for row in rows] == [
        row.prompt.instruction.split()[0].replace("mine", "own") for row in rows
    ]
    await load(rig.ledger, rig.plan)
    assert await stored(rig) == rows, "loaded again, nothing is there twice"


async def test_a_judge_is_told_the_references_of_each_source(rig: Rig, tmp_path: Path) -> None:
    told: dict[str, Reference | None] = {}

    def watched(batch: Batch) -> Reply:
        if isinstance(batch, JudgeBatch):
            told.update({row.instruction: row.reference for row in batch.rows})
        return reply_to(batch)

    await rig.submit(mixed(tmp_path, 100))
    await rig.work(watched)
    for instruction, reference in told.items():
        source, number = instruction.split()
        expected = {
            "flan": Reference(correct=(f"A{number}",)),
            "false_qa": Reference(note=NOTE),
            "mine": None,
        }
        assert reference == expected[source]
    assert len(told) == 7


async def test_another_mix_under_the_same_name_is_refused(rig: Rig, tmp_path: Path) -> None:
    await rig.submit(mixed(tmp_path, 3))
    other = mixed(tmp_path, 3)
    other.source["mix"][0]["take"]["flan"]["rows"] = 1  # type: ignore[index,call-overload]
    with pytest.raises(RecipeError, match="was loaded from another source"):
        await rig.submit(other)


async def test_the_own_model_answers_every_row_beside_one_of_the_others(
    rig: Rig, tmp_path: Path
) -> None:
    models = {alias: {"engine": "simulated", "model": f"sim-{alias}"} for alias in "xyz"}
    generate = {"sampler": {"on-policy": "mine", "others": 1}}
    models["mine"] = RECIPE["models"]["a"]
    await rig.submit(mixed(tmp_path, 100, models=models, generate=generate))
    assert await rig.work() == 7 * (2 + 2)
    drawn = [row.models for row in await stored(rig)]
    assert [own for own, _ in drawn] == ["mine"] * 7
    assert {other for _, other in drawn} == set("xyz")

"""Rows to be labelled of which some, or all, hold no answer: each is told of, by its id."""

import json
from pathlib import Path
from typing import Any

from prefmill.coordinator.pages import row_page
from prefmill.coordinator.status import look, status_of
from prefmill.ledger import runs

from .rig import Rig, recipe

WHOLE = {"x": "So.", "y": "Thus."}
NOBODY = "it has no `responses`, and the recipe no `models` to answer"
BLANK = "none of its `responses` (x, y) holds text"
LOST = "the data hold no text of it"

GIVEN: dict[str, Any] = {
    "whole": WHOLE,
    "null": None,
    "none": {},
    "blank": {"x": "", "y": None},
    "half": {"x": "So.", "y": " "},
}


def rows(**responses: Any) -> dict[str, Any]:
    source = [{"id": name, "prompt": "Why?", "responses": r} for name, r in responses.items()]
    return {"inline": source}


async def test_every_row_without_two_answers_has_a_line_that_says_what_it_lacks(
    rig: Rig, tmp_path: Path
) -> None:
    formats = {"formats": ["raw", "trl"]}
    await rig.submit(recipe(source=rows(**GIVEN), models={}, output=formats))

    assert await rig.work() == 2 * 2, "two aspects of the whole row and of the half"
    folder = await rig.exported(tmp_path)
    lines = [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == sorted(line["row"] for line in lines)
    told = [(line["id"], line["cell"], line["reason"], line["detail"]) for line in lines]
    assert told == [
        ("null", None, "missing-responses", NOBODY),
        ("none", None, "missing-responses", NOBODY),
        ("blank", None, "missing-responses", BLANK),
        ("half", {"kind": "given", "alias": "y", "sample": 0}, "empty", LOST),
    ]
    dropped = json.loads((folder / "run.json").read_text())["outcome"]["trl"]["dropped"]
    assert dropped["missing-responses"] == 3
    assert dropped["too-few-generations"] == 1

    async with rig.ledger.begin() as connection:
        run = await runs.run_by_id(connection, rig.plan.run_id)
        assert run is not None
        status = status_of(await look(connection, run, rig.plan), rig.fleet)
    given = [(s.alias, s.wanted, s.done, s.failed) for s in status.slots if s.kind == "given"]
    assert given == [("x", 2, 2, 0), ("y", 2, 1, 1)]
    assert status.rows_failed + sum(slot.failed for slot in status.slots) == len(lines)


async def test_lost_responses_are_among_the_failed_cells_of_a_page_and_none_can_be_retried(
    rig: Rig,
) -> None:
    await rig.submit(recipe(source=rows(whole=WHOLE, half=GIVEN["half"]), models={}))
    async with rig.ledger.begin() as connection:
        run = await runs.run_by_id(connection, rig.plan.run_id)
        assert run is not None
        assert await runs.forgive(connection, run.id) == 0
    (row,) = (await row_page(rig.ledger, run, -1, 10, failed=True)).rows
    assert row.id == "half"
    assert [(cell.slot, cell.failure) for cell in row.cells if cell.failure] == [("y", "empty")]


async def test_models_answer_rows_that_bring_no_responses_but_not_those_whose_are_blank(
    rig: Rig,
) -> None:
    await rig.submit(recipe(source=rows(null=None, blank=GIVEN["blank"])))
    assert await rig.work() == 2 + 2
    async with rig.ledger.begin() as connection:
        run = await runs.run_by_id(connection, rig.plan.run_id)
    assert run is not None
    (row,) = (await row_page(rig.ledger, run, -1, 10, failed=True)).rows
    assert (row.id, row.failure, row.detail) == ("blank", "missing-responses", BLANK)

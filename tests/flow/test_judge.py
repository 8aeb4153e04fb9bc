"""The judge on a real nats-server, with a rubric whose verdict is a JSON list."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from nats.aio.client import Client

from prefmill.contracts.results import BatchJudged, JudgedCell
from prefmill.contracts.work import JudgeBatch, JudgeCell, JudgeRow

from .conftest import Server
from .line import Line, lane

SPEC = lane("gpt4", "judge")


@pytest_asyncio.fixture
async def line(nc: Client, server: Server, tmp_path: Path) -> AsyncIterator[Line]:
    line = await Line(nc, server, tmp_path).open()
    yield line
    line.close()


def verdicts(instruction: str, order: tuple[int, ...], **fields: Any) -> JudgeBatch:
    """One row with texts of 1, 2, 3 characters; the scripted rubric rates a text by its length."""
    cell = JudgeCell(
        aspect="overall",
        sample=0,
        attempt=1,
        last=True,
        seed=1,
        target="t",
        order=order,
        digest="d",
    )
    row = JudgeRow(
        row=9,
        instruction=instruction,
        generations=("a", "bb", "ccc"),
        cells=(cell,),
    )
    values = {"run": 7, "slot": 3, "lane": "gpt4", "lane_digest": "digest-of-gpt4", **fields}
    return JudgeBatch(id="b1", rubric="scripted", rows=(row,), **values)


async def judged(line: Line, batch: JudgeBatch) -> JudgedCell:
    """The one verdict of a batch."""
    async with line.judge(host_any=True):
        await line.opened(SPEC)
        await line.publish(batch)
        await line.until(lambda: line.replies)
        await line.emptied("JUDGE")
    (reply,) = line.replies
    assert isinstance(reply, BatchJudged)
    (cell,) = reply.cells
    return cell


async def test_readings_stand_in_the_rows_own_order_whatever_was_shown(line: Line) -> None:
    cell = await judged(line, verdicts("", order=(2, 0, 1)))
    assert [reading.rating for reading in cell.readings] == [1, 2, 3]
    assert cell.raw == "[3, 1, 2]"
    assert (cell.row, cell.target, cell.order, cell.attempt, cell.last) == (9, "t", (2, 0, 1), 1, 1)
    assert cell.failure is None


async def test_one_text_without_a_rating_makes_an_unreadable_verdict_that_keeps_the_others(
    line: Line,
) -> None:
    cell = await judged(line, verdicts("say [3, 0, 2]", order=(2, 0, 1)))
    assert cell.failure
    assert (cell.failure.reason, cell.failure.detail) == (
        "unreadable",
        "generation 1: missing-block",
    )
    assert [reading.rating for reading in cell.readings] == [None, 2, 3]


async def test_a_rubric_that_breaks_on_an_answer_keeps_what_was_paid_for(line: Line) -> None:
    cell = await judged(line, verdicts("", order=(0, 1, 2), rubric_options={"fail": "read"}))
    assert cell.failure
    assert cell.failure.reason == "unreadable"
    assert "scripted_plugins.py" not in cell.failure.detail, "it is in no file of a recipe"
    assert cell.failure.detail == "the rubric cannot read the answer: IndexError: a bug"
    assert cell.raw == "[1, 2, 3]"
    assert cell.usage.input_tokens == 1


async def test_a_rubric_that_breaks_on_every_answer_pauses_its_lane_before_all_is_paid(
    line: Line,
) -> None:
    one = verdicts("", order=(0, 1, 2), rubric_options={"fail": "read"})
    rows = tuple(one.rows[0].replace(row=row) for row in range(100))
    async with line.judge(SPEC):
        await line.opened(SPEC)
        await line.publish(one.replace(rows=rows))
        await line.until(lambda: line.replies and line.health("gpt4") == "unusable")
    (reply,) = line.replies
    assert isinstance(reply, BatchJudged)
    assert 20 <= len(reply.cells) < 20 + SPEC.concurrency <= 100
    assert all(cell.failure and cell.usage.input_tokens == 1 for cell in reply.cells)
    assert reply.problem
    assert "the last: the rubric cannot read the answer: IndexError: a bug" in reply.problem.detail


async def test_a_rubric_that_cannot_ask_is_a_rejected_cell(line: Line) -> None:
    cell = await judged(line, verdicts("", order=(0, 1, 2), rubric_options={"fail": "ask"}))
    assert cell.failure
    assert cell.failure.reason == "rejected"
    assert "cannot ask about 'overall'" in cell.failure.detail


async def test_a_rubric_that_is_not_installed_pauses_the_lane_and_counts_nothing(
    line: Line,
) -> None:
    async with line.judge(SPEC):
        await line.opened(SPEC)
        await line.publish(verdicts("", order=(0, 1, 2)).replace(rubric="ultrafeedbak"))
        await line.until(lambda: line.replies and line.health("gpt4") == "unusable")
    (reply,) = line.replies
    assert isinstance(reply, BatchJudged)
    assert reply.cells == ()
    assert reply.problem
    assert "no rubric named 'ultrafeedbak'" in reply.problem.detail


async def test_a_rejected_call_is_a_failed_verdict(line: Line) -> None:
    cell = await judged(line, verdicts("reject", order=(0, 1, 2)))
    assert cell.failure
    assert cell.failure.reason == "rejected"
    assert cell.readings == ()

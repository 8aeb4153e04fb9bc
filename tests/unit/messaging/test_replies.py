"""Replies in parts: every cell exactly once, no message too large, only the last one final."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.chat import Usage
from prefmill.contracts.results import (
    BatchGenerated,
    BatchJudged,
    GeneratedCell,
    JudgedCell,
    Reading,
)
from prefmill.messaging.replies import messages_of


def cell(row: int, text: str) -> GeneratedCell:
    return GeneratedCell(row=row, sample=0, attempt=0, last=False, digest="d", text=text)


def reply(*texts: str) -> BatchGenerated:
    cells = tuple(cell(row, text) for row, text in enumerate(texts))
    return BatchGenerated(batch="b", run=1, slot=2, worker="w", cells=cells)


@given(st.lists(st.text(max_size=4000), max_size=30))
def test_the_parts_of_a_reply_hold_every_cell_once_and_fit(texts: list[str]) -> None:
    whole = reply(*texts)
    messages = list(messages_of(whole, most_bytes=40_000))
    parts = [BatchGenerated.read(message) for message in messages]
    assert all(len(message) <= 40_000 for message in messages)
    assert tuple(cell for part in parts for cell in part.cells) == whole.cells
    assert [part.final for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {(part.batch, part.run, part.slot, part.worker) for part in parts} == {("b", 1, 2, "w")}


def test_a_reply_that_fits_is_one_message() -> None:
    assert len(list(messages_of(reply("a", "b")))) == 1


def test_a_reply_without_cells_is_one_final_message() -> None:
    (message,) = messages_of(reply())
    assert BatchGenerated.read(message).final


def test_an_answer_too_large_for_any_message_becomes_a_failure_that_says_so() -> None:
    parts = [
        BatchGenerated.read(message)
        for message in messages_of(reply("a", "x" * 50_000, "b"), most_bytes=20_000)
    ]
    cells = [cell for part in parts for cell in part.cells]
    assert [cell.text for cell in cells] == ["a", None, "b"]
    assert cells[1].failure
    assert cells[1].failure.reason == "rejected"
    assert "does not fit into a message" in cells[1].failure.detail


def test_a_verdict_too_large_for_any_message_loses_its_raw_text_and_says_so() -> None:
    verdict = JudgedCell(
        row=1,
        sample=0,
        attempt=0,
        last=True,
        digest="d",
        aspect="honesty",
        target="t",
        order=(0,),
        raw="x" * 50_000,
    )
    whole = BatchJudged(batch="b", run=1, slot=2, cells=(verdict,))
    (message,) = messages_of(whole, most_bytes=20_000)
    (kept,) = BatchJudged.read(message).cells
    assert kept.raw == ""
    assert kept.failure


def test_what_its_reader_would_not_take_is_one_failed_cell_not_a_lost_reply() -> None:
    numbers: Any = {"input_tokens": None, "output_tokens": 3}
    broken = cell(1, "b").replace(usage=Usage(**numbers))
    (message,) = messages_of(reply("a", "b", "c").replace(cells=(cell(0, "a"), broken)))
    whole, failed = BatchGenerated.read(message).cells
    assert whole == cell(0, "a")
    assert failed.failure
    assert (failed.row, failed.text, failed.failure.reason) == (1, None, "rejected")
    assert "Expected `int`, got `null` - at `$.usage.input_tokens`" in failed.failure.detail


def test_a_reading_of_a_plugin_that_is_no_number_is_one_failed_verdict() -> None:
    rating: Any = "four"
    verdict = JudgedCell(
        row=1, sample=0, attempt=0, last=True, digest="d", aspect="a", target="t", order=(0, 1),
        readings=(Reading(status="rated", rating=rating),), usage=Usage(input_tokens=7), model="m",
    )  # fmt: skip
    (message,) = messages_of(BatchJudged(batch="b", run=1, slot=2, cells=(verdict,)))
    (failed,) = BatchJudged.read(message).cells
    assert failed.failure
    assert (failed.order, failed.readings, failed.last) == ((0, 1), (), True)
    assert "got `str` - at `$.readings[0].rating`" in failed.failure.detail
    assert failed.usage == Usage(input_tokens=7), "what was paid was paid"
    assert (failed.model, failed.raw) == ("m", "")

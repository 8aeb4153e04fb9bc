"""Replies in parts: every cell exactly once, no message too large, only the last one final."""

from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.results import BatchGenerated, BatchJudged, GeneratedCell, JudgedCell
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
    parts = [BatchGenerated.model_validate_json(message) for message in messages]
    assert all(len(message) <= 40_000 for message in messages)
    assert tuple(cell for part in parts for cell in part.cells) == whole.cells
    assert [part.final for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {(part.batch, part.run, part.slot, part.worker) for part in parts} == {("b", 1, 2, "w")}


def test_a_reply_that_fits_is_one_message() -> None:
    assert len(list(messages_of(reply("a", "b")))) == 1


def test_a_reply_without_cells_is_one_final_message() -> None:
    (message,) = messages_of(reply())
    assert BatchGenerated.model_validate_json(message).final


def test_an_answer_too_large_for_any_message_becomes_a_failure_that_says_so() -> None:
    parts = [
        BatchGenerated.model_validate_json(message)
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
    (kept,) = BatchJudged.model_validate_json(message).cells
    assert kept.raw == ""
    assert kept.failure

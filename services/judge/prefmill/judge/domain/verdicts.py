"""From an ordered verdict to a request, and from its outcome to readings, the shuffle undone."""

from collections.abc import Sequence

from prefmill.contracts.chat import Failure, Params
from prefmill.contracts.reasons import NOT_APPLICABLE, RATED, REJECTED, UNREADABLE
from prefmill.contracts.results import JudgedCell, Reading
from prefmill.contracts.work import JudgeCell, JudgeRow
from prefmill.engines.caller import Outcome
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.rubric import Rubric

USABLE = frozenset({RATED, NOT_APPLICABLE})
"""Statuses that are no failures."""


def request_of(rubric: Rubric, params: Params, row: JudgeRow, cell: JudgeCell) -> ChatRequest:
    """The rubric's question about the row's texts in the cell's order."""
    question = rubric.ask(row, cell.aspect, cell.order)
    return ChatRequest(question.messages, params, cell.seed, question.schema)


def judged(rubric: Rubric, row: JudgeRow, cell: JudgeCell, outcome: Outcome) -> JudgedCell:
    """The verdict, or the failure in its place. What could be read is kept either way."""
    failure, readings = outcome.failure, ()
    if failure is None and outcome.completion is not None:
        readings = _read(rubric, cell, outcome.completion.text, len(row.generations))
        failure = unreadable(readings)
    return JudgedCell(
        row=row.row,
        sample=cell.sample,
        attempt=cell.attempt,
        last=cell.last,
        digest=cell.digest,
        model=outcome.model,
        usage=outcome.usage,
        latency_ms=outcome.latency_ms,
        failure=failure,
        aspect=cell.aspect,
        target=row.target,
        order=cell.order,
        readings=readings,
        raw=outcome.raw,
    )


def unasked(row: JudgeRow, cell: JudgeCell, error: Exception) -> JudgedCell:
    """The rubric could not even ask: a failed attempt that cost nothing."""
    detail = f"the rubric cannot ask about {cell.aspect!r}: {type(error).__name__}: {error}"
    return JudgedCell(
        row=row.row,
        sample=cell.sample,
        attempt=cell.attempt,
        last=cell.last,
        digest=cell.digest,
        failure=Failure(reason=REJECTED, detail=detail),
        aspect=cell.aspect,
        target=row.target,
        order=cell.order,
    )


def unreadable(readings: Sequence[Reading]) -> Failure | None:
    """The failure if at least one text has neither a rating nor `not-applicable`. `readings` are
    in the row's own order, counted from 1 for a person."""
    bad = [
        f"generation {place}: {reading.status}"
        for place, reading in enumerate(readings, start=1)
        if reading.status not in USABLE
    ]
    return Failure(reason=UNREADABLE, detail="; ".join(bad)) if bad else None


def unshuffled(
    readings: Sequence[Reading], order: Sequence[int], texts: int
) -> tuple[Reading, ...]:
    """Readings in shown order, put back into the order of the row's generations. A generation
    that was not shown stays unread."""
    places: list[Reading | None] = [None] * texts
    for index, reading in zip(order, readings, strict=True):
        places[index] = reading
    return tuple(reading or _NOT_SHOWN for reading in places)


_NOT_SHOWN = Reading(status="missing-block")


def _read(rubric: Rubric, cell: JudgeCell, answer: str, texts: int) -> tuple[Reading, ...]:
    try:
        shown = rubric.read(cell.aspect, answer, len(cell.order))
    except Exception as error:  # noqa: BLE001 - a rubric's bug must not cost the paid answer
        reading = Reading(status=UNREADABLE, rationale=f"{type(error).__name__}: {error}")
        return (reading,) * texts
    return unshuffled(shown, cell.order, texts)

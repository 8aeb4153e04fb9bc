"""From an ordered verdict to a request, and from its outcome to readings, the shuffle undone."""

from collections.abc import Sequence

from prefmill.contracts.chat import Failure, Params
from prefmill.contracts.reasons import NOT_APPLICABLE, RATED, REJECTED, UNREADABLE
from prefmill.contracts.results import JudgedCell, Reading
from prefmill.contracts.work import JudgeCell, JudgeRow
from prefmill.engines.outcome import Outcome
from prefmill.engines.streak import Streak
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.rubric import Rubric, RubricFailed, readings_of

USABLE = frozenset({RATED, NOT_APPLICABLE})
"""Statuses that are no failures."""


def request_of(rubric: Rubric, params: Params, row: JudgeRow, cell: JudgeCell) -> ChatRequest:
    """The rubric's question about the row's texts in the cell's order."""
    question = rubric.ask(row, cell.aspect, cell.order)
    return ChatRequest(question.messages, params, cell.seed, question.schema)


def judged(
    rubric: Rubric, row: JudgeRow, cell: JudgeCell, outcome: Outcome, bugs: Streak
) -> JudgedCell:
    """The verdict, or the failure in its place. What could be read is kept either way; what breaks
    the rubric is counted."""
    failure, readings = outcome.failure, ()
    if failure is None and outcome.completion is not None:
        try:
            shown = readings_of(rubric, cell.aspect, outcome.completion.text, len(cell.order))
        except RubricFailed as error:  # a rubric's bug must not cost the paid answer
            failure = Failure(reason=UNREADABLE, detail=str(error))
            bugs.add(UNREADABLE, str(error))
        else:
            readings = unshuffled(shown, cell.order)
            failure = unreadable(readings, sorted(cell.order))
            bugs.end()
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
        target=cell.target,
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
        target=cell.target,
        order=cell.order,
    )


def unreadable(readings: Sequence[Reading], shown: Sequence[int]) -> Failure | None:
    """The failure if at least one text has neither a rating nor `not-applicable`. `readings` are
    in the row's own order, `shown` says of which generations: counted from 1 for a person."""
    bad = [
        f"generation {generation + 1}: {reading.status}"
        for generation, reading in zip(shown, readings, strict=True)
        if reading.status not in USABLE
    ]
    return Failure(reason=UNREADABLE, detail="; ".join(bad)) if bad else None


def unshuffled(readings: Sequence[Reading], order: Sequence[int]) -> tuple[Reading, ...]:
    """Readings in shown order, put back into the order in which the row has these generations.
    ValueError if there are not as many as texts."""
    by_generation = dict(zip(order, readings, strict=True))
    return tuple(by_generation[generation] for generation in sorted(by_generation))

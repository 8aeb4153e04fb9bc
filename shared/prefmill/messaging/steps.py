"""The steps of a worker's trace: a batch in hand, and each of its calls where it is sampled."""

from typing import Any

from prefmill.contracts.results import Completed
from prefmill.contracts.work import Batch
from prefmill.contracts.workers import LaneSpec
from prefmill.messaging.cells import Answer
from prefmill.messaging.held import Held
from prefmill.messaging.traces import SILENT, Step, begin, traced


def batch_step(spec: LaneSpec, held: Held, batch: Batch) -> Step:
    """From a batch's arrival to its reply: what its publisher began goes on here."""
    if not traced():
        return SILENT
    return begin(
        spec.kind,
        held.headers,
        part="consumer",
        run=batch.run,
        batch=batch.id,
        lane=spec.slug,
        delivery=held.deliveries,
    )


def with_calls(step: Step, answer: Answer) -> Answer:
    """`answer`, with a step of its own for each call if the batch's is recorded."""
    if not step.recorded:
        return answer

    async def traced_answer(row: Any, cell: Any) -> Completed:
        call = begin("call", step.headers, part="client", **_asked(row, cell))
        try:
            done = await answer(row, cell)
        except BaseException:
            call.end("not answered")
            raise
        call.end(done.failure.reason if done.failure else "", **_used(done))
        return done

    return traced_answer


def _asked(row: Any, cell: Any) -> dict[str, Any]:
    aspect = getattr(cell, "aspect", None)
    return {"row": row.row, "sample": cell.sample, "attempt": cell.attempt, "aspect": aspect}


def _used(done: Completed) -> dict[str, Any]:
    """By OpenTelemetry's names for calls of generative models."""
    return {
        "gen_ai.response.model": done.model,
        "gen_ai.usage.input_tokens": done.usage.input_tokens,
        "gen_ai.usage.output_tokens": done.usage.output_tokens,
    }

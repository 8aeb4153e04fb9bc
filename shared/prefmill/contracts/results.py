"""Facts: what generators and judges report. A reply may answer any subset of its batch's cells."""

from typing import Annotated

from msgspec import Meta

from prefmill.contracts.base import Wire
from prefmill.contracts.chat import Failure, Usage


class Completed(Wire):
    """What both kinds of answered cells carry. With `failure`, it is a counted attempt."""

    row: Annotated[int, Meta(ge=0, description="Position of the row in its run.")]
    sample: Annotated[int, Meta(ge=0, description="As ordered.")]
    attempt: Annotated[int, Meta(ge=0, description="As ordered.")]
    last: Annotated[bool, Meta(description="As ordered: with a failure, the cell closes.")]
    digest: Annotated[str, Meta(description="As ordered, hex.")]
    model: Annotated[str, Meta(description="The model id that answered.")] = ""
    usage: Annotated[Usage, Meta(description="Tokens, counted even on failure.")] = Usage()
    latency_ms: Annotated[int, Meta(ge=0, description="From request to whole answer.")] = 0
    failure: Annotated[Failure | None, Meta(description="Why there is no result.")] = None


class GeneratedCell(Completed):
    """One answer, or why there is none."""

    text: Annotated[str | None, Meta(description="The answer; None with a failure.")] = None
    finish_reason: Annotated[str, Meta(description="`stop`, `length`, as the engine says it.")] = ""
    principle: Annotated[str | None, Meta(description="As ordered.")] = None
    system: Annotated[str | None, Meta(description="As ordered.")] = None


class Reading(Wire):
    """What a verdict says of one text."""

    rating: Annotated[float | None, Meta(description="On the aspect's scale.")] = None
    status: Annotated[str, Meta(description="`rated`, `not-applicable`, or a reason code.")]
    rationale: Annotated[str | None, Meta(description="Why; with types: why those types.")] = None
    types: Annotated[
        tuple[str, ...] | None,
        Meta(description="Types found, for aspects that have them; () for none."),
    ] = None
    rationale_for_rating: Annotated[str | None, Meta(description="For aspects with types.")] = None
    attributes: Annotated[
        dict[str, float] | None,
        Meta(description="Ratings by attribute, where one answer gives several."),
    ] = None


class JudgedCell(Completed):
    """One verdict, or why there is none. With failure `unreadable`, `readings` hold what could
    be read."""

    aspect: Annotated[str, Meta(description="As ordered.")]
    target: Annotated[str, Meta(description="As ordered, hex.")]
    order: Annotated[tuple[int, ...], Meta(description="As ordered.")]
    readings: Annotated[
        tuple[Reading, ...],
        Meta(description="One per text shown, in the row's own order: shuffle undone."),
    ] = ()
    raw: Annotated[str, Meta(description="The judge's answer, untouched.")] = ""


class LaneProblem(Wire):
    """A lane that a worker had to pause: its unanswered cells go back uncounted."""

    reason: Annotated[str, Meta(description="`unusable` or `streak`.")]
    detail: Annotated[str, Meta(description="One line for a person: what is wrong and what to do.")]


class Reply(Wire):
    """What both kinds of replies carry. No Nats-Msg-Id: natural keys make delivery idempotent."""

    batch: Annotated[str, Meta(description="Id of the batch.")]
    run: Annotated[int, Meta(description="Echoed.")]
    slot: Annotated[int, Meta(description="Echoed.")]
    worker: Annotated[str, Meta(description="Which worker answered.")] = ""
    final: Annotated[bool, Meta(description="False for all but the last part.")] = True
    problem: Annotated[LaneProblem | None, Meta(description="Why the lane paused, if so.")] = None


class BatchGenerated(Reply):
    """Answers to a GenerateBatch."""

    cells: Annotated[
        tuple[GeneratedCell, ...], Meta(description="Any subset of the batch's cells.")
    ]


class BatchJudged(Reply):
    """Verdicts on a JudgeBatch."""

    cells: Annotated[tuple[JudgedCell, ...], Meta(description="Any subset of the batch's cells.")]


class BatchDied(Wire):
    """A batch given up: delivered too often without an answer, or impossible to read."""

    batch: Annotated[str | None, Meta(description="Its id, where it could be read.")] = None
    subject: Annotated[str, Meta(description="Where it came from.")]
    error: Annotated[str, Meta(description="What is known about why.")]
    deliveries: Annotated[int, Meta(ge=0, description="How often it had been delivered.")] = 0
    payload: Annotated[str, Meta(description="The message itself, for a replay.")] = ""

"""Facts: what generators and judges report. A reply may answer any subset of its batch's cells."""

from pydantic import Field

from prefmill.contracts.base import Frozen
from prefmill.contracts.chat import Failure, Usage


class Completed(Frozen):
    """What both kinds of answered cells carry. With `failure`, it is a counted attempt."""

    row: int = Field(ge=0, description="Position of the row in its run.")
    sample: int = Field(ge=0, description="As ordered.")
    attempt: int = Field(ge=0, description="As ordered.")
    last: bool = Field(description="As ordered: with a failure, the cell closes.")
    digest: str = Field(description="As ordered, hex.")
    model: str = Field(default="", description="The model id that answered.")
    usage: Usage = Field(default=Usage(), description="Tokens, counted even on failure.")
    latency_ms: int = Field(default=0, ge=0, description="From request to whole answer.")
    failure: Failure | None = Field(default=None, description="Why there is no result.")


class GeneratedCell(Completed):
    """One answer, or why there is none."""

    text: str | None = Field(default=None, description="The answer; None with a failure.")
    finish_reason: str = Field(default="", description="`stop`, `length`, as the engine says it.")
    principle: str | None = Field(default=None, description="As ordered.")
    system: str | None = Field(default=None, description="As ordered.")


class Reading(Frozen):
    """What a verdict says of one text."""

    rating: float | None = Field(default=None, description="On the aspect's scale.")
    status: str = Field(description="`rated`, `not-applicable`, or a reason code.")
    rationale: str | None = Field(default=None, description="Why; with types: why those types.")
    types: tuple[str, ...] | None = Field(
        default=None, description="Types found, for aspects that have them; () for none."
    )
    rationale_for_rating: str | None = Field(default=None, description="For aspects with types.")
    attributes: dict[str, float] | None = Field(
        default=None, description="Ratings by attribute, where one answer gives several."
    )


class JudgedCell(Completed):
    """One verdict, or why there is none. With failure `unreadable`, `readings` hold what could
    be read."""

    aspect: str = Field(description="As ordered.")
    target: str = Field(description="As ordered, hex.")
    order: tuple[int, ...] = Field(description="As ordered.")
    readings: tuple[Reading, ...] = Field(
        default=(), description="One per text shown, in the row's own order: shuffle undone."
    )
    raw: str = Field(default="", description="The judge's answer, untouched.")


class LaneProblem(Frozen):
    """A lane that a worker had to pause: its unanswered cells go back uncounted."""

    reason: str = Field(description="`unusable` or `streak`.")
    detail: str = Field(description="One line for a person: what is wrong and what to do.")


class Reply(Frozen):
    """What both kinds of replies carry. No Nats-Msg-Id: natural keys make delivery idempotent."""

    batch: str = Field(description="Id of the batch.")
    run: int = Field(description="Echoed.")
    slot: int = Field(description="Echoed.")
    worker: str = Field(default="", description="Which worker answered.")
    final: bool = Field(default=True, description="False for all but the last part.")
    problem: LaneProblem | None = Field(default=None, description="Why the lane paused, if so.")


class BatchGenerated(Reply):
    """Answers to a GenerateBatch."""

    cells: tuple[GeneratedCell, ...] = Field(description="Any subset of the batch's cells.")


class BatchJudged(Reply):
    """Verdicts on a JudgeBatch."""

    cells: tuple[JudgedCell, ...] = Field(description="Any subset of the batch's cells.")


class BatchDied(Frozen):
    """A batch given up: delivered too often without an answer, or impossible to read."""

    batch: str | None = Field(default=None, description="Its id, where it could be read.")
    subject: str = Field(description="Where it came from.")
    error: str = Field(description="What is known about why.")
    deliveries: int = Field(default=0, ge=0, description="How often it had been delivered.")
    payload: str = Field(default="", description="The message itself, for a replay.")

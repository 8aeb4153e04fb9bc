"""Orders: batches of work, as the coordinator publishes them. Self-contained and bounded.

A batch has no meaning of its own. `run`, `slot`, `row`, `target` and `digest` are the ledger's
keys: opaque to a worker, which echoes them in its reply.
"""

from typing import Literal

from pydantic import Field, JsonValue

from prefmill.contracts.base import Frozen
from prefmill.contracts.chat import Message, Params

LaneKind = Literal["generate", "judge"]

Shows = Literal["all", "each", "pairs"]
"""What one verdict shows: all usable generations in a shuffled order; one of them; or two of them,
where every pair is asked about in both orders."""


class Reference(Frozen):
    """What is known about the right answer to a prompt (UltraFeedback's world knowledge)."""

    correct: tuple[str, ...] = Field(default=(), description="Answers known to be correct.")
    incorrect: tuple[str, ...] = Field(default=(), description="Answers known to be wrong.")
    note: str | None = Field(default=None, description="For example: rests on a false premise.")


class GenerateCell(Frozen):
    """One answer wanted."""

    sample: int = Field(ge=0, description="Which of several samples of this model.")
    attempt: int = Field(ge=0, description="Counted attempts before this one.")
    last: bool = Field(description="No attempt follows when this one fails.")
    seed: int = Field(ge=0, description="63 bits, from recipe seed, content, slot and attempt.")
    digest: str = Field(description="Request digest, hex.")
    principle: str | None = Field(
        default=None, description="Name of the principle drawn for this answer."
    )
    system: str | None = Field(
        default=None, description="Its wording, which the system prompt holds already: echoed."
    )


class GenerateRow(Frozen):
    """One prompt with the answers wanted for it. A row whose answers begin with different system
    prompts stands in its batch once for each of them."""

    row: int = Field(ge=0, description="Position of the row in its run.")
    messages: tuple[Message, ...] = Field(description="The conversation to go on with.")
    cells: tuple[GenerateCell, ...] = Field(description="Answers wanted.")


class JudgeCell(Frozen):
    """One verdict wanted: one call, about the texts shown."""

    aspect: str = Field(description="What is judged, by the rubric's name for it.")
    sample: int = Field(ge=0, description="Which of several samples of this judge.")
    attempt: int = Field(ge=0, description="Counted attempts before this one.")
    last: bool = Field(description="No attempt follows when this one fails.")
    seed: int = Field(ge=0, description="63 bits, from recipe seed, content, slot and attempt.")
    target: str = Field(
        default="", description="The ledger's key of the ordered set of generations shown, hex."
    )
    order: tuple[int, ...] = Field(
        description="Index into the row's `generations` per shown position: all, one or two."
    )
    digest: str = Field(description="Request digest, hex.")


class JudgeRow(Frozen):
    """One prompt with its usable generations, and the verdicts wanted on them."""

    row: int = Field(ge=0, description="Position of the row in its run.")
    instruction: str = Field(description="The last user turn.")
    history: tuple[Message, ...] = Field(
        default=(), description="What came before it: a system prompt, earlier turns."
    )
    reference: Reference | None = Field(default=None, description="Known answers, if any.")
    generations: tuple[str, ...] = Field(description="Usable texts, in the row's own order.")
    principles: tuple[str | None, ...] = Field(
        default=(),
        description="What each of them was told to live up to, in these words; () where none was.",
    )
    cells: tuple[JudgeCell, ...] = Field(description="Verdicts wanted.")


class Batch(Frozen):
    """What both kinds of batches carry."""

    id: str = Field(description="Batch id; also its Nats-Msg-Id.")
    run: int = Field(description="The run's key in the ledger.")
    slot: int = Field(description="The slot's key in the ledger: one model or judge of a run.")
    lane: str = Field(description="Slug of the lane it travels on.")
    lane_digest: str = Field(description="What the worker must serve; it refuses any other.")
    params: Params = Field(default=Params(), description="Sampling parameters of every call.")


class GenerateBatch(Batch):
    """Generate the wanted answers."""

    rows: tuple[GenerateRow, ...] = Field(description="Prompts.")


class JudgeBatch(Batch):
    """Judge the wanted verdicts."""

    rubric: str = Field(description="Name of the rubric plugin.")
    rubric_options: dict[str, JsonValue] = Field(
        default_factory=dict, description="Its options, as the plugin's own model dumps them."
    )
    plugins: dict[str, str] = Field(
        default={},
        description="The local file that has the rubric, where no distribution does, and its "
        "SHA-256: only in a stack of one's own.",
    )
    rows: tuple[JudgeRow, ...] = Field(description="Prompts with generations.")

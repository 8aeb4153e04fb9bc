"""Orders: batches of work, as the coordinator publishes them. Self-contained and bounded.

A batch has no meaning of its own. `run`, `slot`, `row`, `target` and `digest` are the ledger's
keys: opaque to a worker, which echoes them in its reply.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from prefmill.contracts.base import Wire
from prefmill.contracts.chat import Message, Params

LaneKind = Literal["generate", "judge"]

Shows = Literal["all", "each", "pairs"]
"""What one verdict shows: all usable generations in a shuffled order; one of them; or two of them,
where every pair is asked about in both orders."""


class Reference(Wire):
    """What is known about the right answer to a prompt (UltraFeedback's world knowledge)."""

    correct: Annotated[tuple[str, ...], Meta(description="Answers known to be correct.")] = ()
    incorrect: Annotated[tuple[str, ...], Meta(description="Answers known to be wrong.")] = ()
    note: Annotated[str | None, Meta(description="For example: rests on a false premise.")] = None


class GenerateCell(Wire):
    """One answer wanted."""

    sample: Annotated[int, Meta(ge=0, description="Which of several samples of this model.")]
    attempt: Annotated[int, Meta(ge=0, description="Counted attempts before this one.")]
    last: Annotated[bool, Meta(description="No attempt follows when this one fails.")]
    seed: Annotated[
        int, Meta(ge=0, description="63 bits, from recipe seed, content, slot and attempt.")
    ]
    digest: Annotated[str, Meta(description="Request digest, hex.")]
    principle: Annotated[
        str | None, Meta(description="Name of the principle drawn for this answer.")
    ] = None
    system: Annotated[
        str | None, Meta(description="Its wording, which the system prompt holds already: echoed.")
    ] = None


class GenerateRow(Wire):
    """One prompt with the answers wanted for it. A row whose answers begin with different system
    prompts stands in its batch once for each of them."""

    row: Annotated[int, Meta(ge=0, description="Position of the row in its run.")]
    messages: Annotated[tuple[Message, ...], Meta(description="The conversation to go on with.")]
    cells: Annotated[tuple[GenerateCell, ...], Meta(description="Answers wanted.")]


class JudgeCell(Wire):
    """One verdict wanted: one call, about the texts shown."""

    aspect: Annotated[str, Meta(description="What is judged, by the rubric's name for it.")]
    sample: Annotated[int, Meta(ge=0, description="Which of several samples of this judge.")]
    attempt: Annotated[int, Meta(ge=0, description="Counted attempts before this one.")]
    last: Annotated[bool, Meta(description="No attempt follows when this one fails.")]
    seed: Annotated[
        int, Meta(ge=0, description="63 bits, from recipe seed, content, slot and attempt.")
    ]
    target: Annotated[
        str, Meta(description="The ledger's key of the ordered set of generations shown, hex.")
    ] = ""
    order: Annotated[
        tuple[int, ...],
        Meta(description="Index into the row's `generations` per shown position: all, one or two."),
    ]
    digest: Annotated[str, Meta(description="Request digest, hex.")]


class JudgeRow(Wire):
    """One prompt with its usable generations, and the verdicts wanted on them."""

    row: Annotated[int, Meta(ge=0, description="Position of the row in its run.")]
    instruction: Annotated[str, Meta(description="The last user turn.")]
    history: Annotated[
        tuple[Message, ...],
        Meta(description="What came before it: a system prompt, earlier turns."),
    ] = ()
    reference: Annotated[Reference | None, Meta(description="Known answers, if any.")] = None
    generations: Annotated[
        tuple[str, ...], Meta(description="Usable texts, in the row's own order.")
    ]
    principles: Annotated[
        tuple[str | None, ...],
        Meta(
            description="What each of them was told to live up to, in these words; () where none "
            "was."
        ),
    ] = ()
    cells: Annotated[tuple[JudgeCell, ...], Meta(description="Verdicts wanted.")]


class Batch(Wire):
    """What both kinds of batches carry."""

    id: Annotated[str, Meta(description="Batch id; also its Nats-Msg-Id.")]
    run: Annotated[int, Meta(description="The run's key in the ledger.")]
    slot: Annotated[
        int, Meta(description="The slot's key in the ledger: one model or judge of a run.")
    ]
    lane: Annotated[str, Meta(description="Slug of the lane it travels on.")]
    lane_digest: Annotated[
        str, Meta(description="What the worker must serve; it refuses any other.")
    ]
    params: Annotated[Params, Meta(description="Sampling parameters of every call.")] = Params()


class GenerateBatch(Batch):
    """Generate the wanted answers."""

    rows: Annotated[tuple[GenerateRow, ...], Meta(description="Prompts.")]


class JudgeBatch(Batch):
    """Judge the wanted verdicts."""

    rubric: Annotated[str, Meta(description="Name of the rubric plugin.")]
    rubric_options: Annotated[
        dict[str, Any], Meta(description="Its options, as the plugin's own model dumps them.")
    ] = field(default_factory=dict)
    plugins: Annotated[
        dict[str, str],
        Meta(
            description="The local file that has the rubric, where no distribution does, and its "
            "SHA-256: only in a stack of one's own."
        ),
    ] = field(default_factory=dict)
    rows: Annotated[tuple[JudgeRow, ...], Meta(description="Prompts with generations.")]

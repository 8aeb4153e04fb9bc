"""A row on its way: as a source yields it, and as it stands when datasets are made of it."""

from typing import Annotated, Any

from msgspec import Meta, field

from prefmill.contracts.base import Wire
from prefmill.contracts.chat import Failure, Message
from prefmill.contracts.results import Reading
from prefmill.contracts.work import Reference, Shows


class GivenResponse(Wire):
    """An answer that came with the data: nothing is generated, it is judged."""

    model: Annotated[str, Meta(description="Who wrote it.")]
    text: Annotated[str | None, Meta(description="None where the data has none.")]


class Prompt(Wire):
    """One row of a source. With `failure`, it stays in the run as a failed row."""

    id: Annotated[str, Meta(description="The row's id; its position where the data names none.")]
    messages: Annotated[
        tuple[Message, ...], Meta(description="Whole conversation; the last turn is the user's.")
    ] = ()
    reference: Annotated[Reference | None, Meta(description="Known answers, if any.")] = None
    responses: Annotated[tuple[GivenResponse, ...], Meta(description="Existing answers.")] = ()
    metadata: Annotated[dict[str, Any], Meta(description="All other columns.")] = field(
        default_factory=dict
    )
    failure: Annotated[Failure | None, Meta(description="Why the row cannot be used.")] = None

    @property
    def instruction(self) -> str:
        """The last user turn; empty for a failed row that has none."""
        return self.messages[-1].content if self.messages else ""


class Generation(Wire):
    """One answer of a finished row; `text` is None where it failed."""

    model: Annotated[str, Meta(description="The recipe's alias of the model.")]
    model_id: Annotated[str, Meta(description="The model id that answered.")] = ""
    sample: Annotated[int, Meta(description="Which of several samples.")] = 0
    text: Annotated[str | None, Meta(description="The answer.")]
    failure: Annotated[Failure | None, Meta(description="Why there is none.")] = None
    principle: Annotated[str | None, Meta(description="The principle drawn for it, if any.")] = None
    system: Annotated[
        str | None, Meta(description="The words in which it was told, within the system prompt.")
    ] = None


class Verdict(Wire):
    """One verdict of a finished row, in the order of the row's generations. A rubric that shows
    them one by one, or in pairs, has several for each judge, aspect and sample."""

    judge: Annotated[str, Meta(description="The recipe's alias of the judge.")]
    judge_model: Annotated[str, Meta(description="The model id that answered.")] = ""
    rubric: Annotated[str, Meta(description="Name of the rubric.")]
    shows: Annotated[Shows, Meta(description="What one verdict of this rubric shows.")] = "all"
    aspect: Annotated[str, Meta(description="What was judged.")]
    sample: Annotated[int, Meta(description="Which of several samples.")] = 0
    order: Annotated[
        tuple[int, ...],
        Meta(description="Generation index at each shown position; () if it failed."),
    ] = ()
    readings: Annotated[
        tuple[Reading, ...],
        Meta(description="One per generation of the row; `not-shown` for those it was not about."),
    ]
    raw: Annotated[str | None, Meta(description="The judge's answer; None if it failed.")] = None


class FinishedRow(Wire):
    """A row with all that is stored for it: what pools score and formats write."""

    position: Annotated[int, Meta(description="In its run.")]
    prompt: Annotated[Prompt, Meta(description="As loaded.")]
    generations: Annotated[tuple[Generation, ...], Meta(description="In draw order.")] = ()
    verdicts: Annotated[tuple[Verdict, ...], Meta(description="By rubric, judge, aspect.")] = ()
    open_cells: Annotated[int, Meta(description="Cells not yet closed.")] = 0

"""A row on its way: as a source yields it, and as it stands when datasets are made of it."""

from pydantic import Field, JsonValue

from prefmill.contracts.base import Frozen
from prefmill.contracts.chat import Failure, Message
from prefmill.contracts.results import Reading
from prefmill.contracts.work import Reference, Shows


class GivenResponse(Frozen):
    """An answer that came with the data: nothing is generated, it is judged."""

    model: str = Field(description="Who wrote it.")
    text: str | None = Field(description="None where the data has none.")


class Prompt(Frozen):
    """One row of a source. With `failure`, it stays in the run as a failed row."""

    id: str = Field(description="The row's id; its position where the data names none.")
    messages: tuple[Message, ...] = Field(
        default=(), description="Whole conversation; the last turn is the user's."
    )
    reference: Reference | None = Field(default=None, description="Known answers, if any.")
    responses: tuple[GivenResponse, ...] = Field(default=(), description="Existing answers.")
    metadata: dict[str, JsonValue] = Field(default={}, description="All other columns.")
    failure: Failure | None = Field(default=None, description="Why the row cannot be used.")

    @property
    def instruction(self) -> str:
        """The last user turn; empty for a failed row that has none."""
        return self.messages[-1].content if self.messages else ""


class Generation(Frozen):
    """One answer of a finished row; `text` is None where it failed."""

    model: str = Field(description="The recipe's alias of the model.")
    model_id: str = Field(default="", description="The model id that answered.")
    sample: int = Field(default=0, description="Which of several samples.")
    text: str | None = Field(description="The answer.")
    failure: Failure | None = Field(default=None, description="Why there is none.")
    principle: str | None = Field(default=None, description="The principle drawn for it, if any.")
    system: str | None = Field(
        default=None, description="The words in which it was told, within the system prompt."
    )


class Verdict(Frozen):
    """One verdict of a finished row, in the order of the row's generations. A rubric that shows
    them one by one, or in pairs, has several for each judge, aspect and sample."""

    judge: str = Field(description="The recipe's alias of the judge.")
    judge_model: str = Field(default="", description="The model id that answered.")
    rubric: str = Field(description="Name of the rubric.")
    shows: Shows = Field(default="all", description="What one verdict of this rubric shows.")
    aspect: str = Field(description="What was judged.")
    sample: int = Field(default=0, description="Which of several samples.")
    order: tuple[int, ...] = Field(
        default=(), description="Generation index at each shown position; () if it failed."
    )
    readings: tuple[Reading, ...] = Field(
        description="One per generation of the row; `not-shown` for those it was not about."
    )
    raw: str | None = Field(default=None, description="The judge's answer; None if it failed.")


class FinishedRow(Frozen):
    """A row with all that is stored for it: what pools score and formats write."""

    position: int = Field(description="In its run.")
    prompt: Prompt = Field(description="As loaded.")
    generations: tuple[Generation, ...] = Field(default=(), description="In draw order.")
    verdicts: tuple[Verdict, ...] = Field(default=(), description="By rubric, judge, aspect.")
    open_cells: int = Field(default=0, description="Cells not yet closed.")

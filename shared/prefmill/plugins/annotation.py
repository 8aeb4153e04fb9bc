"""What people see and are asked who check a judge: a rubric's own word for each of its aspects."""

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from prefmill.contracts.base import Frozen, Strict

Part = Literal["instruction", "history", "reference", "generations"]
"""What of a row can be shown: the last user turn, the turns before it, the known answers, the texts
that are judged (a field for each)."""


class ShownField(Strict):
    """A field that people see: a part of the row, or words that are the same for every row."""

    name: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9_-]{0,99})?$",
        description="Small letters, digits, `-` and `_`; the part's name by default. Fields of "
        "`generations` are numbered: NAME-1, NAME-2, …",
    )
    title: str = Field(default="", description="What stands above it; the name by default.")
    of: Part | None = Field(default=None, description="The part of the row that it shows.")
    text: str | None = Field(default=None, min_length=1, description="Or the words it shows.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.of is None) == (self.text is None):
            raise ValueError("a field has either `of`, the part of a row, or `text`")
        if self.text is not None and not self.name:
            raise ValueError("a field with a `text` of its own needs a `name`")
        return self

    @property
    def label(self) -> str:
        """Its name, given or not."""
        return self.name or ("generation" if self.of == "generations" else self.of or "")


def _short(field: object) -> object:
    """`instruction` is `{of: instruction}`."""
    return {"of": field} if isinstance(field, str) and field in get_args(Part) else field


ShownFields = tuple[Annotated[ShownField, BeforeValidator(_short)], ...]

INSTRUCTION: Final = ShownField(of="instruction")
REFERENCE: Final = ShownField(of="reference")
GENERATIONS: Final = ShownField(of="generations")


class RatingField(Frozen):
    """A rating that people are asked for, as a judge was."""

    name: str = Field(description="The aspect, or one of the attributes that its readings hold.")
    low: int = Field(description="The lowest rating.")
    high: int = Field(description="The highest rating.")
    names: dict[str, int] = Field(default={}, description="What ratings are called.")


class Annotation(Frozen):
    """How people check what judges say on an aspect."""

    guidelines: str = Field(default="", description="What they are told of the aspect.")
    fields: ShownFields = Field(
        default=(INSTRUCTION, GENERATIONS),
        description="What they see. The instruction and the texts are always among it.",
    )
    ratings: tuple[RatingField, ...] = Field(
        default=(), description="What they are asked about each text; none of a comparison."
    )

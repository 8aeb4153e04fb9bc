"""A rubric in a YAML file: what may stand in it, and where a mistake in it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from prefmill.contracts.base import Strict
from prefmill.contracts.work import Shows
from prefmill.judge.rubrics.matched import checked_pattern
from prefmill.judge.rubrics.scales import Scale
from prefmill.judge.rubrics.templates import source_of
from prefmill.plugins.annotation import ShownFields
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import explain

MAX_CHARS: Final = 64_000
"""Of the whole file: it travels with every batch, which holds 256 KB."""


class ScaleSpec(Strict):
    """The scale of a user's rubric."""

    min: float = Field(description="The lowest rating.")
    max: float = Field(description="The highest rating.")
    integer: bool = Field(default=True, description="Whether fractions are no ratings.")
    not_applicable: bool = Field(default=False, description="Whether `N/A` may be said.")
    names: dict[str, float] = Field(default={}, description="What ratings may be called.")

    @model_validator(mode="after")
    def _upward(self) -> Self:
        if not self.min < self.max:
            raise ValueError(f"min is {self.min:g} and max {self.max:g}; max must be the larger")
        outside = [
            name for name, rating in self.names.items() if not self.min <= rating <= self.max
        ]
        if outside:
            raise ValueError(f"names: {', '.join(outside)} outside {self.min:g} to {self.max:g}")
        return self

    def scale(self) -> Scale:
        """What ratings are read against."""
        names = tuple(self.names.items())
        return Scale(self.min, self.max, names, self.not_applicable, whole=self.integer)


class FieldNames(Strict):
    """What the judge is asked to call its values: a tag, a JSON key, or a label."""

    rating: str = Field(default="rating", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="…")
    rationale: str = Field(
        default="rationale", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="Why."
    )

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.rating.casefold() == self.rationale.casefold():
            raise ValueError(f"rating and rationale are both called {self.rating!r}")
        return self


def _described(aspects: object) -> object:
    if isinstance(aspects, str):
        return {aspects: ""}
    if isinstance(aspects, (list, tuple)):
        return {str(name): "" for name in cast("list[object]", aspects)}
    return aspects


class TemplateFile(Strict):
    """A user's own rubric: how a judge is asked, and how its answer is read."""

    scale: ScaleSpec | None = Field(default=None, description="Of ratings; none with `pairs`.")
    shows: Shows = Field(default="each", description="What one call shows: all, each, or pairs.")
    aspects: Annotated[dict[str, str], BeforeValidator(_described)] = Field(
        default={"overall": ""}, min_length=1, description="Name → what it means; one call each."
    )
    system: str = Field(default="", description="Jinja template of the system prompt; may be none.")
    user: str = Field(min_length=1, description="Jinja template of the user turn.")
    output: Literal["json", "tags", "regex", "blocks"] = Field(
        default="tags", description="How the judge is asked to answer, and is read."
    )
    pattern: str | None = Field(default=None, description="For `regex`, with a group `rating`.")
    fields: FieldNames = Field(default=FieldNames(), description="What values are called.")
    reference: bool = Field(default=True, description="Whether templates see the reference.")
    tokens: int = Field(default=150, ge=1, description="About what a judge writes for one text.")
    people: ShownFields = Field(
        default=(),
        description="What those see who check a judge; what the templates show by default.",
    )

    @field_validator("aspects")
    @classmethod
    def _named(cls, aspects: dict[str, str]) -> dict[str, str]:
        if not all(name.strip() for name in aspects):
            raise ValueError("an aspect needs a name")
        return aspects

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.shows == "pairs" and self.scale is not None:
            raise ValueError("scale: pairs are judged A, B or tie, which is no scale; remove it")
        if self.shows != "pairs" and self.scale is None:
            raise ValueError("scale: missing; write for example `scale: {min: 1, max: 5}`")
        if self.output == "blocks" and self.shows == "pairs":
            raise ValueError("output: blocks hold a rating per text; for pairs use json or tags")
        if (self.output == "regex") != (self.pattern is not None):
            raise ValueError("pattern: goes with `output: regex`, and only with it")
        if self.pattern is not None:
            checked_pattern(self.pattern, several=self.shows == "all")
        return self


def read_file(path: Path) -> TemplateFile:
    """The rubric in a file. RecipeError names the file, the line and the key of each mistake."""
    # only where recipes are checked: a judge is handed what the file holds
    import yaml

    from prefmill.plugins.shallow import ShallowLoader

    source = source_of(path)
    if len(source) > MAX_CHARS:
        raise RecipeError(f"{path}: {len(source)} characters, at most {MAX_CHARS}")
    try:
        loader: Any = ShallowLoader(source)
        keys = loader.get_single_node()
        value: object = keys and loader.construct_document(keys)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, Mapping):
        raise RecipeError(f"{path}: a rubric is a mapping with `scale:` and `user:`")
    return checked(cast("Mapping[str, Any]", value), str(path), _lines(keys))


def checked(value: Mapping[str, Any], place: str, lines: Mapping[str, int]) -> TemplateFile:
    """The rubric that a mapping describes. RecipeError with the place of each mistake."""
    try:
        return TemplateFile.model_validate(dict(value))
    except ValidationError as error:
        problems = [said.removeprefix(": ") for said in explain(error, TemplateFile, "")]
        raise RecipeError(*(_placed(said, place, lines) for said in problems)) from error


def _placed(said: str, place: str, lines: Mapping[str, int]) -> str:
    said = said.replace("Value error, ", "")
    line = lines.get(said.split(":")[0].split(".")[0])
    return f"{place}:{line}: {said}" if line else f"{place}: {said}"


def _lines(document: Any) -> dict[str, int]:
    """The line of each key of the document, from 1."""
    pairs: list[Any] = getattr(document, "value", [])
    return {str(key.value): key.start_mark.line + 1 for key, _ in pairs}

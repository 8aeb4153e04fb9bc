"""Sources: prompts, streamed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, ClassVar, Protocol, cast

from pydantic import BeforeValidator, Field

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Failure
from prefmill.contracts.reasons import BAD_ROW, MISSING_INSTRUCTION
from prefmill.contracts.recipe import PluginSpec
from prefmill.contracts.rows import Prompt
from prefmill.plugins.errors import RecipeError


class Taken(Strict):
    """What is taken of the rows that have one value, and what is known of them."""

    rows: int = Field(ge=1, description="The first so many.")
    columns: dict[str, str] = Field(
        default={}, description="Ours → theirs, over those of the source."
    )
    note: str | None = Field(default=None, description="Known of the right answer to all of them.")


def sound(source: "Source", skip: int = 0) -> Iterator[Prompt]:
    """What a source yields from row `skip` on, looked at: what is no prompt is a failed row that
    says why. RecipeError if the source itself breaks."""
    position = skip
    try:
        for position, prompt in enumerate(source.read(skip), skip):
            yield _looked_at(prompt, position)
    except (RecipeError, OSError, GeneratorExit):
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise RecipeError(f"source: it broke at row {position} or after it: {said}") from error


def _looked_at(prompt: Prompt, position: int) -> Prompt:
    failed, why = BAD_ROW, ""
    try:
        prompt = Prompt.read(prompt.json())
    except (ValueError, TypeError, AttributeError) as error:
        kind = type(cast("object", prompt))
        why = str(error) if kind is Prompt else f"the source yields a {kind.__name__}, no Prompt"
        return Prompt(id=str(position), failure=Failure(reason=BAD_ROW, detail=why))
    if prompt.failure is not None:
        return prompt
    if not prompt.messages or prompt.messages[-1].role != "user":
        why = "its messages do not end with the user's turn"
    elif not prompt.messages[-1].content.strip():
        failed, why = MISSING_INSTRUCTION, "the user's turn is empty, or only white space"
    return prompt.replace(failure=Failure(reason=failed, detail=why)) if why else prompt


def _taken(value: object) -> object:
    """`20939` is `{rows: 20939}`: one shape, so that a mistake is told in its own words."""
    return {"rows": value} if isinstance(value, int) else value


class SourceOptions(Strict):
    """Options every source has. A plugin named X has an option X: what to read."""

    columns: dict[str, str] = Field(
        default={},
        description="Ours → theirs: `prompt`/`instruction`, `system`, `messages`, `id`, "
        "`reference`, `incorrect`, `note`, `responses`; a dotted name reaches into a record.",
    )
    rows: int | None = Field(default=None, ge=1, description="Only the first so many rows.")
    max_chars: int = Field(
        default=200_000, ge=1, description="A longer conversation is a failed row."
    )
    take: dict[
        str,
        Annotated[
            Taken,
            BeforeValidator(_taken, json_schema_input_type=Annotated[int, Field(ge=1)] | Taken),
        ],
    ] = Field(
        default={},
        description="How many rows of each value of the column `by`: `{flan: 20939}`; no others.",
    )
    by: str = Field(default="source", description="The column that `take` counts by.")
    note: str | None = Field(
        default=None, description="Known of the right answer to every row that brings no note."
    )


class Source(Protocol):
    """Yields prompts in a fixed order. A row that cannot be used is yielded with its failure;
    only what spoils all rows (no file, no such column) raises RecipeError."""

    Options: ClassVar[type[SourceOptions]]

    def __init__(self, options: SourceOptions) -> None: ...

    def fingerprint(self) -> str:
        """Changes when the data may have changed (size and time of a file, a Hub commit)."""
        ...

    def size(self) -> int | None:
        """How many rows it will yield, where that is cheap to know."""
        ...

    def read(self, skip: int = 0) -> Iterator[Prompt]:
        """Its prompts from row `skip` on. Blocking: run it in a thread."""
        ...


def with_each(spec: PluginSpec, change: Callable[[PluginSpec, str], PluginSpec]) -> PluginSpec:
    """A recipe's source with a change made to it, or to each of the sources of a `mix`; `change`
    is told their place in the recipe."""
    mixed = spec.get("mix")
    if not isinstance(mixed, list):
        return change(spec, "source")
    changed = [
        change(cast("PluginSpec", one), f"source.mix.{number}") if isinstance(one, Mapping) else one
        for number, one in enumerate(mixed)
    ]
    return {**spec, "mix": changed}

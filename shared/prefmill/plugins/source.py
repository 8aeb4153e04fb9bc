"""Sources: prompts, streamed."""

from collections.abc import Iterator
from typing import ClassVar, Protocol

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.rows import Prompt


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

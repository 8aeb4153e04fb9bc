"""`{counting: 20}`: so many prompts that need no file."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from prefmill.contracts.chat import Message
from prefmill.contracts.rows import Prompt
from prefmill.plugins.source import SourceOptions


class CountingOptions(SourceOptions):
    """The plugin's own name is its main option."""

    counting: int = Field(ge=1, description="How many prompts.")


class Counting:
    """Prompts 0, 1, 2, …"""

    Options: ClassVar[type[SourceOptions]] = CountingOptions

    def __init__(self, options: SourceOptions) -> None:
        assert isinstance(options, CountingOptions)
        self._options = options

    def fingerprint(self) -> str:
        """They never change."""
        return "counting"

    def size(self) -> int | None:
        """Of all that will be yielded."""
        return min(self._options.counting, self._options.rows or self._options.counting)

    def read(self, skip: int = 0) -> Iterator[Prompt]:
        """From row `skip` on."""
        for number in range(skip, self.size() or 0):
            turn = Message(role="user", content=f"Say number {number}")
            yield Prompt(id=f"n{number}", messages=(turn,), metadata={"number": number})

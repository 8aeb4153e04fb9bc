"""`{inline: [...]}`: prompts that stand in the recipe itself."""

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from pydantic import Field, JsonValue

from prefmill.coordinator.sources.columns import PARTS
from prefmill.coordinator.sources.mapping import Record, Unreadable
from prefmill.coordinator.sources.reading import RecordSource
from prefmill.plugins.digest import digest_of
from prefmill.plugins.source import SourceOptions


class InlineOptions(SourceOptions):
    """What `inline` understands."""

    inline: list[str | dict[str, JsonValue] | None] = Field(
        description="Prompts: texts, or records with `prompt`, `system`, `reference`, …"
    )


class InlineSource(RecordSource):
    """Prompts of the recipe. Records use our own names, so none needs to be mapped."""

    Options = InlineOptions
    found: ClassVar[tuple[str, ...]] = PARTS

    def __init__(self, options: SourceOptions) -> None:
        super().__init__(options)
        assert isinstance(options, InlineOptions)
        self._items = options.inline
        prompts = self._mapping.columns.prompts
        self._column = prompts[0][1].name

    def records(self, skip: int) -> Iterator[Record | Unreadable]:
        """The records; a bare text becomes one."""
        for item in islice(self._items, skip, None):
            yield item if isinstance(item, dict) else {self._column: item}

    def place(self) -> str:
        """It stands in the recipe."""
        return "source.inline"

    def fingerprint(self) -> str:
        """Hash of the list."""
        return digest_of("inline", self._items).hex()

    def count(self, limit: int | None) -> int | None:
        """Length of the list."""
        return len(self._items)

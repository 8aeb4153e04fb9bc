"""What all sources share: records in, prompts out."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import ClassVar, Final

from prefmill.contracts.rows import Prompt
from prefmill.coordinator.sources.columns import FOUND, Columns
from prefmill.coordinator.sources.mapping import PromptMapping, Record, Unreadable
from prefmill.coordinator.sources.parts import Parts
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.source import SourceOptions

HEAD: Final = 100
"""Rows within which every column that a recipe asks for must turn up."""


class RecordSource:
    """A source that has records. A subclass says which, and from where."""

    Options: ClassVar[type[SourceOptions]] = SourceOptions
    found: ClassVar[tuple[str, ...]] = FOUND
    """Columns taken by their name where the recipe maps none."""

    def __init__(self, options: SourceOptions) -> None:
        """RecipeError if the column mapping is wrong."""
        self._rows = options.rows
        columns = Columns(options.columns, self.found)
        self._mapping = PromptMapping(columns, options.max_chars, options.note)
        self._parts = Parts(options, self.found) if options.take else None

    def records(self, skip: int) -> Iterator[Record | Unreadable]:
        """Its records from row `skip` on."""
        raise NotImplementedError

    def place(self) -> str:
        """Where the records are, for messages."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """See `prefmill.plugins.source`."""
        raise NotImplementedError

    def size(self) -> int | None:
        """How many rows it will yield; None if that is not cheap to know."""
        known = self._parts.size if self._parts else self.count(self._rows)
        return known if known is None or self._rows is None else min(known, self._rows)

    def count(self, limit: int | None) -> int | None:
        """How many rows there are; no need to count beyond `limit`."""
        raise NotImplementedError

    def read(self, skip: int = 0) -> Iterator[Prompt]:
        """Its prompts from row `skip` on. RecipeError if there are none at all, or if a column
        that is needed is missing. With `take` the data is read from its beginning: where row
        `skip` lies is a matter of what comes before."""
        if self._rows is not None and skip >= self._rows:
            return
        if self._parts is not None:
            prompts = self._parts.prompts(self._checked(self.records(0)))
            yield from islice(prompts, skip, self._rows)
            return
        records = self.records(skip)
        if skip == 0:
            records = self._checked(records)
        if self._rows is not None:
            records = islice(records, self._rows - skip)
        prompt = self._mapping.prompt
        for position, record in enumerate(records, skip):
            yield prompt(record, position)

    def _checked(self, records: Iterator[Record | Unreadable]) -> Iterator[Record | Unreadable]:
        head = list(islice(records, HEAD))
        if not head:
            raise RecipeError(f"{self.place()}: holds no rows")
        readable = [record for record in head if isinstance(record, Mapping)]
        first = head[0]
        if not readable and isinstance(first, Unreadable):
            raise RecipeError(f"{self.place()}: none of its rows can be read; {first.detail}")
        self._mapping.columns.check(readable, self.place())
        if self._parts is not None:
            self._parts.check(readable, self.place())
        return chain(head, records)

"""So many rows of each value of a column: `take: {flan: 20939, sharegpt: 19949}`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prefmill.contracts.rows import Prompt
from prefmill.coordinator.sources.columns import ABSENT, Column, Columns
from prefmill.coordinator.sources.mapping import PromptMapping, Record, Unreadable
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest
from prefmill.plugins.source import SourceOptions, Taken

SOURCE = "source"


@dataclass(frozen=True)
class _Part:
    rows: int
    mapping: PromptMapping


class Parts:
    """The values that are wanted, each with its number of rows and a mapping of its own."""

    def __init__(self, options: SourceOptions, found: tuple[str, ...]) -> None:
        """RecipeError if the column mapping of a value is wrong."""
        self._by = Column(options.by)
        self._parts = {value: _part(options, asked, found) for value, asked in options.take.items()}

    @property
    def size(self) -> int:
        """The most rows there can be."""
        return sum(part.rows for part in self._parts.values())

    def prompts(self, records: Iterator[Record | Unreadable]) -> Iterator[Prompt]:
        """The first rows of each value, in the order of the data; rows of no value that is wanted,
        and those that cannot be read, are left out. RecipeError at the end if a value that is
        wanted was not there at all."""
        left = {value: part.rows for value, part in self._parts.items()}
        met: set[str] = set()
        position = 0
        for record in records:
            value = self._value(record)
            if value is None:
                continue
            met.add(value)
            if not left.get(value):
                continue
            left[value] -= 1
            yield self._prompt(record, value, position)
            position += 1
            if not any(left.values()):
                return
        self._refuse_unmet(met)

    def check(self, records: list[Mapping[str, object]], place: str) -> None:
        """RecipeError if the column, or one that a value asks for, is in none of these records."""
        if all(self._by.of(record) is ABSENT for record in records):
            raise RecipeError(
                f"{place}: no column {self._by.name!r}, by which `take` counts; name another with "
                "`by`"
            )
        for value, part in self._parts.items():
            own = [record for record in records if self._value(record) == value]
            if own:
                part.mapping.columns.check(own, f"{place}, {self._by.name} {value!r}")

    def _value(self, record: Record | Unreadable) -> str | None:
        value = ABSENT if isinstance(record, Unreadable) else self._by.of(record)
        return str(value) if isinstance(value, (str, int)) else None

    def _prompt(self, record: Record | Unreadable, value: str, position: int) -> Prompt:
        prompt = self._parts[value].mapping.prompt(record, position)
        if SOURCE in prompt.metadata:
            return prompt
        return prompt.replace(metadata={**prompt.metadata, SOURCE: value})

    def _refuse_unmet(self, met: set[str]) -> None:
        unmet = [value for value in self._parts if value not in met]
        if unmet:
            raise RecipeError(
                *(
                    f"source.take: no row has {value!r} in column {self._by.name!r}"
                    f"{nearest(value, met)}"
                    for value in unmet
                )
            )


def _part(options: SourceOptions, taken: Taken, found: tuple[str, ...]) -> _Part:
    columns = Columns({**options.columns, **taken.columns}, found)
    return _Part(taken.rows, PromptMapping(columns, options.max_chars, taken.note or options.note))

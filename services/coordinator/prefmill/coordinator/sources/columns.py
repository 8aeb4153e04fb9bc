"""Which column of the data is which part of a prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest

ABSENT: Final = object()
PROMPTS: Final = ("prompt", "instruction", "messages")
"""Where a prompt is looked for, in this order, if the recipe maps none of them."""
PARTS: Final = ("system", "id", "reference", "incorrect", "note", "responses", "models")
OURS: Final = PROMPTS + PARTS
FOUND: Final = ("id", "system")
"""What is taken from a column of the same name without being mapped."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the data. `asked` if the recipe maps it."""

    name: str
    asked: bool = True

    def of(self, record: Mapping[str, Any]) -> Any:
        """Its value, or ABSENT. A dotted name reaches into records and lists."""
        value = record.get(self.name, ABSENT)
        return self._within(record) if value is ABSENT and "." in self.name else value

    def _within(self, record: Any) -> Any:
        for part in self.name.split("."):
            if isinstance(record, Mapping):
                record = cast("Mapping[str, Any]", record).get(part, ABSENT)
            elif isinstance(record, (list, tuple)) and part.isdigit():
                items = cast("Sequence[Any]", record)
                record = items[int(part)] if int(part) < len(items) else ABSENT
            else:
                return ABSENT
        return record


class Columns:
    """The columns of a source: those a recipe maps, and those found by name."""

    def __init__(self, mapped: Mapping[str, str], found: Sequence[str] = FOUND) -> None:
        """RecipeError if a name is not one of ours, or two name the prompt."""
        _check(mapped)
        self.prompts = tuple((p, Column(mapped[p])) for p in PROMPTS if p in mapped)
        self.asked = bool(self.prompts)
        if not self.asked:
            self.prompts = tuple((p, Column(p, asked=False)) for p in PROMPTS)
        self._others = {ours: Column(theirs) for ours, theirs in mapped.items()}
        for ours in found:
            self._others.setdefault(ours, Column(ours, asked=False))

    def get(self, ours: str) -> Column | None:
        """The column that holds our `system`, `id`, …; None if none does."""
        return self._others.get(ours)

    def check(self, records: Sequence[Mapping[str, Any]], place: str) -> None:
        """RecipeError if a column that is needed is in none of these first records."""
        for ours, column in self._others.items():
            if column.asked and _absent(column, records):
                raise RecipeError(
                    f"{place}: no column {column.name!r} (asked for as {ours!r} by "
                    f"`columns`){_there(column.name, records)}"
                )
        if all(_absent(column, records) for _, column in self.prompts):
            raise RecipeError(
                f"{place}: no column 'prompt', 'instruction' or 'messages'"
                f"{_there('', records)}; say which one holds the prompt: "
                "columns: {prompt: NAME}"
            )


def _absent(column: Column, records: Sequence[Mapping[str, Any]]) -> bool:
    return all(column.of(record) is ABSENT for record in records)


def _there(name: str, records: Sequence[Mapping[str, Any]]) -> str:
    names = dict.fromkeys(str(key) for record in records for key in record)
    guess = nearest(name, names) if name else ""
    listed = f"; there are: {', '.join(names) or 'none'}"
    return guess + listed if "did you mean" in guess else listed


def _check(mapped: Mapping[str, str]) -> None:
    for ours in mapped:
        if ours not in OURS:
            raise RecipeError(f"source.columns: unknown name {ours!r}{nearest(ours, OURS)}")
    both = [name for name in PROMPTS if name in mapped]
    if len(both) > 1:
        raise RecipeError(
            f"source.columns: {' and '.join(both)} each name the prompt; map one of them"
        )

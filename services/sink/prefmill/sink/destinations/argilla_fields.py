"""What people see of a row in Argilla: the fields that the run's rubrics declare, as text. Pure.

A part of the row is shown once, under the name that the first rubric gives it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prefmill.plugins.annotation import GENERATIONS, INSTRUCTION, Part, ShownField

Row = Mapping[str, Any]
"""A record of the format `raw`."""


@dataclass(frozen=True, slots=True)
class Field:
    """A text field of a dataset. `column` is what it needs of `raw`, if anything."""

    name: str
    title: str
    text: Callable[[Row], str | None]
    required: bool = False
    column: str | None = None


def fields_of(
    rubrics: Iterable[Mapping[str, Any]], only: Sequence[str], texts: int
) -> tuple[Field, ...]:
    """All fields, for the rubrics as `run.json` has them; of so many texts."""
    taken: dict[str, ShownField] = {}
    for aspect, shown in _declared(rubrics, only):
        if all(shown.of is None or shown.of != other.of for other in taken.values()):
            same = taken.get(shown.label, shown) == shown
            taken[shown.label if same else name_of(f"{aspect}-{shown.label}")] = shown
    return tuple(made for name, shown in taken.items() for made in _made(name, shown, texts))


def name_of(said: str) -> str:
    """A name that Argilla takes: small letters, digits, `-` and `_`."""
    return re.sub(r"[^a-z0-9_-]+", "-", said.lower())[:200]


def _declared(
    rubrics: Iterable[Mapping[str, Any]], only: Sequence[str]
) -> Iterator[tuple[str, ShownField]]:
    """In order, with the aspect. A rating is of no use without what it is about."""
    told = [
        (aspect, [ShownField.model_validate(each) for each in people.get("fields", ())])
        for rubric in rubrics
        for aspect, people in rubric["people"].items()
        if not only or aspect in only
    ]
    parts = {shown.of for _, fields in told for shown in fields}
    if "instruction" not in parts:
        yield "", INSTRUCTION
    for aspect, fields in told:
        yield from ((aspect, shown) for shown in fields)
    if "generations" not in parts:
        yield "", GENERATIONS


def _made(name: str, shown: ShownField, texts: int) -> Iterator[Field]:
    title = shown.title or name.replace("-", " ").capitalize()
    if shown.of is None:
        yield Field(name, title, lambda _: shown.text)
    elif shown.of == "generations":
        for place in range(texts):
            text = _generation(place)
            yield Field(f"{name}-{place + 1}", f"{title} {place + 1}", text, column="generations")
    else:
        text, column = PARTS[shown.of]
        yield Field(name, title, text, required=shown.of == "instruction", column=column)


def _generation(place: int) -> Callable[[Row], str | None]:
    return lambda row: next(iter(row["generations"][place : place + 1]), None)


def _history(row: Row) -> str | None:
    """The turns before the last one."""
    turns = (f"**{turn['role']}**: {turn['content']}" for turn in row["messages"][:-1])
    return "\n\n".join(turns) or None


def _reference(row: Row) -> str | None:
    """What is known about the right answer."""
    known = row["reference"]
    if known is None:
        return None
    wrong = (f"**Wrong**: {answer}" for answer in known["incorrect"])
    note = (f"**Note**: {known['note']}",) if known["note"] else ()
    return "\n\n".join((*known["correct"], *wrong, *note)) or None


PARTS: Final[Mapping[Part, tuple[Callable[[Row], str | None], str]]] = {
    "instruction": (lambda row: row["instruction"], "instruction"),
    "history": (_history, "messages"),
    "reference": (_reference, "reference"),
}
"""Part of a row → its text, and the column that it stands in."""

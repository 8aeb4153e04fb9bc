"""What the rubrics have in common that are made of parts: a prompt and a reader per aspect."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from prefmill.contracts.chat import Message
from prefmill.contracts.results import Reading
from prefmill.contracts.work import JudgeRow, Reference, Shows
from prefmill.judge.rubrics.fencing import defused_section, unmarked
from prefmill.judge.rubrics.people import People, annotation_by, seen
from prefmill.judge.rubrics.questions import values_in
from prefmill.judge.rubrics.reading import Reader
from prefmill.judge.rubrics.templates import VARIABLES, Prompt, TemplatePair, source_of
from prefmill.plugins.annotation import Annotation
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest
from prefmill.plugins.rubric import Question

PROMPTS: Final = Path(__file__).parent / "prompts"
_QUESTION: Final = 1
"""Raise it when code, not a template, changes what a judge is shown: stored verdicts differ."""


@dataclass(frozen=True, eq=False)
class Part:
    """One aspect: its templates, as text, and how its answers are read.

    `told`: the judge is told the reference. `values` are variables beside those of every template.
    `mark` is what announces a rating in an answer: no text of others may hold it. `reads` is what
    of the options decides how an answer is read, beside its schema: readings are stored. `people`
    is what those see who check a judge, if not just what the templates show of a row.
    """

    name: str
    pair: TemplatePair
    reader: Reader
    told: bool = False
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    mark: re.Pattern[str] | None = None
    place: str = "templates: "
    reads: JsonValue = None
    people: People = ()


class Asker:
    """A part with its prompts compiled. RecipeError if they cannot be."""

    def __init__(self, part: Part) -> None:
        self.part = part
        known = (*VARIABLES, "principles", *part.values)
        self._system = Prompt(part.pair.system, f"{part.place}system", known)
        self._user = Prompt(part.pair.user, f"{part.place}user", known)

    @property
    def people(self) -> People:
        """What those see who check a judge."""
        shown = "reference" in self._system.names | self._user.names
        return self.part.people or seen(self.part.told and shown)

    def question(self, row: JudgeRow, order: tuple[int, ...]) -> Question:
        """The question about the texts in this order."""
        values = self._values(row, order)
        system, user = self._system.render(values), self._user.render(values)
        said = (Message(role="system", content=system),) if system.strip() else ()
        turn = Message(role="user", content=user)
        return Question((*said, turn), self.part.reader.schema(len(order)))

    def fingerprint(self) -> str:
        """Hash of what determines a question."""
        part = self.part
        pair, values, schema = part.pair, dict(part.values), part.reader.schema(2)
        return digest_of(
            _QUESTION, part.name, pair.system, pair.user, part.told, values, schema, part.reads
        ).hex()

    def _values(self, row: JudgeRow, order: tuple[int, ...]) -> dict[str, Any]:
        part = self.part
        values = values_in(row, order, part.told) | {"aspect": part.name, "types": ()}
        values["principles"] = [_principle(row, i) for i in order]
        if part.mark is not None:
            values = {key: _unmarked(value, part.mark) for key, value in values.items()}
        return values | dict(part.values)


def _principle(row: JudgeRow, index: int) -> str | None:
    principle = row.principles[index] if index < len(row.principles) else None
    return None if principle is None else defused_section(principle)


def _unmarked(value: Any, mark: re.Pattern[str]) -> Any:
    """The same in every text that a value holds."""
    match value:
        case str():
            return unmarked(value, mark)
        case list():
            return [_unmarked(each, mark) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return {key: _unmarked(each, mark) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


class Prompted:
    """A rubric of parts. Implements `prefmill.plugins.rubric.Rubric` but for its options."""

    shows: Shows = "each"
    tokens_per_text: int = 150

    def _make(self, *parts: Part) -> None:
        """Called once, with what the options say. RecipeError for a template of no use."""
        self._askers = {part.name: Asker(part) for part in parts}
        self._fingerprints = {name: asker.fingerprint() for name, asker in self._askers.items()}

    @property
    def aspects(self) -> tuple[str, ...]:
        """What is judged, one call each."""
        return tuple(self._askers)

    def fingerprint(self) -> str:
        """Of all aspects together."""
        return digest_of(self._fingerprints).hex()

    def fingerprint_of(self, aspect: str) -> str:
        """Of one aspect alone."""
        self._part(aspect)
        return self._fingerprints[aspect]

    def annotation(self, aspect: str) -> Annotation:
        """How people check an aspect."""
        part = self._part(aspect)
        told = str(part.values.get("description") or "")
        return annotation_by(aspect, part.reader, self._askers[aspect].people, told)

    def ask(self, row: JudgeRow, aspect: str, order: tuple[int, ...]) -> Question:
        """The question about `row.generations[i] for i in order`. RecipeError for an unknown
        aspect, or a template that this row breaks."""
        self._part(aspect)
        return self._askers[aspect].question(row, order)

    def read(self, aspect: str, answer: str, texts: int) -> tuple[Reading, ...]:
        """One reading per shown text, in shown order. Never raises for any answer."""
        return self._part(aspect).reader.read(answer, texts)

    def _part(self, aspect: str) -> Part:
        asker = self._askers.get(aspect)
        if asker is None:
            raise RecipeError(f"no aspect named {aspect!r}{nearest(aspect, self._askers)}")
        return asker.part


def built_in(rubric: str, name: str = "") -> TemplatePair:
    """The templates that stand beside this code: `<rubric>/[<name>.]system.jinja2`, and the user
    turn, which begins with what all rubrics show alike."""
    folder, prefix = PROMPTS / rubric, f"{name}." if name else ""
    opening = source_of(PROMPTS / "opening.jinja2")
    return TemplatePair(
        system=source_of(folder / f"{prefix}system.jinja2"),
        user=opening + source_of(folder / f"{prefix}user.jinja2"),
    )


_TEXTS: Final = ("prefmill sample one", "prefmill sample two", "prefmill sample three")
_BARE: Final = JudgeRow(row=0, instruction="prefmill instruction", generations=_TEXTS, cells=())
_FULL: Final = _BARE.replace(
    history=(Message(role="system", content="Be brief."),),
    reference=Reference(correct=("Yes.",), incorrect=("No.",), note="A note."),
    principles=("honesty", None, "helpfulness"),
)
_ORDERS: Final[dict[Shows, tuple[tuple[int, ...], ...]]] = {
    "all": ((0,), (1, 0), (2, 0, 1)),
    "each": ((0,), (1,), (2,)),
    "pairs": ((0, 1), (1, 0), (2, 0)),
}


def check(part: Part, shows: Shows) -> None:
    """Renders both templates for a few rows, with all there can be in a row and with the least.
    RecipeError names the place of one that fails, or that does not show every text."""
    asker = Asker(part)
    for row in (_BARE, _FULL):
        for order in _ORDERS[shows]:
            shown = asker.question(row, order).messages[-1].content
            if not all(row.generations[i] in shown for i in order):
                raise RecipeError(
                    f"{part.place}user: does not show every text; put `generations` into it"
                )

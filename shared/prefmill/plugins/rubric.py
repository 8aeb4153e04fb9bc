"""Rubrics: how a judge is asked, and how its answer is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import JsonValue

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Message
from prefmill.contracts.results import Reading
from prefmill.contracts.work import JudgeRow, Shows
from prefmill.plugins.annotation import Annotation, RatingField
from prefmill.plugins.errors import line_in


@dataclass(frozen=True, slots=True)
class Question:
    """What a judge is sent for one aspect; `schema` for engines that constrain their output."""

    messages: tuple[Message, ...]
    schema: dict[str, JsonValue] | None = None


class Rubric(Protocol):
    """Asks about the texts of a row and reads the answer. Pure: no I/O after construction.

    Three members may be left out. `shows` says what one call is about (a class attribute or a
    property; `all` if there is none): `each` and `pairs` get an `order` of one or two texts, and
    every pair comes in both orders, with ratings 1 for the better text, 0 for the other, 0.5 each
    for a tie. `fingerprint_of(aspect)` is the hash of one aspect alone, so that a change of one
    asks for no other again. `annotation(aspect)` is an Annotation: what people see and are
    asked who check a judge; a rubric without one rates from 1 to 5, where it rates texts.
    """

    Options: ClassVar[type[Strict]]

    def __init__(self, options: Strict) -> None: ...

    @property
    def aspects(self) -> tuple[str, ...]:
        """What is judged, one call each."""
        ...

    @property
    def tokens_per_text(self) -> int:
        """About how many tokens a judge writes for one text, for estimates and warnings."""
        ...

    def fingerprint(self) -> str:
        """Hash, hex, of everything of the rubric that determines a question (templates, scale)."""
        ...

    def ask(self, row: JudgeRow, aspect: str, order: tuple[int, ...]) -> Question:
        """The question that shows `row.generations[i] for i in order`, numbered from 1. Where the
        row has `principles`, `row.principles[i]` is what that generation was told to live up to,
        in these words."""
        ...

    def read(self, aspect: str, answer: str, texts: int) -> tuple[Reading, ...]:
        """What the answer says, one reading per shown text, in shown order; always `texts`."""
        ...


class RubricFailed(Exception):
    """A rubric raised while it read an answer, or gave what is no reading: its own bug."""


def readings_of(rubric: Rubric, aspect: str, answer: str, texts: int) -> tuple[Reading, ...]:
    """What a rubric reads, looked at. RubricFailed, in one line, with the line of its file where
    it is in one."""
    try:
        readings = tuple(rubric.read(aspect, answer, texts))
        if len(readings) != texts:
            raise ValueError(f"{len(readings)} readings of {texts} texts")  # noqa: TRY301
        for reading in readings:
            Reading.read(reading.json())
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        path: str = getattr(rubric, "file", ("",))[0]
        line = line_in(error, path) if path else None
        place = f"{Path(path).name}:{line}: " if line else ""
        raise RubricFailed(f"the rubric cannot read the answer: {place}{said}") from error
    return readings


def shows_of(rubric: Rubric) -> Shows:
    """What one verdict of a rubric shows: all generations, each alone, or pairs."""
    return getattr(rubric, "shows", "all")


def annotation_of(rubric: Rubric, aspect: str) -> Annotation:
    """How people check an aspect."""
    own = getattr(rubric, "annotation", None)
    return own(aspect) if own else usual_annotation(aspect, shows_of(rubric))


def usual_annotation(aspect: str, shows: Shows) -> Annotation:
    """Of a rubric that does not say: from 1 to 5, where it rates texts."""
    rating = RatingField(name=aspect, low=1, high=5)
    return Annotation(ratings=() if shows == "pairs" else (rating,))


def fingerprint_of(rubric: Rubric, aspect: str) -> str:
    """Hash, hex, of what determines a question about one aspect; of the whole rubric where it
    does not tell its aspects apart."""
    own = getattr(rubric, "fingerprint_of", None)
    return own(aspect) if own else rubric.fingerprint()

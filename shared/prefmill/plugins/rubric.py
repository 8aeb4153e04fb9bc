"""Rubrics: how a judge is asked, and how its answer is read."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from pydantic import JsonValue

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Message
from prefmill.contracts.results import Reading
from prefmill.contracts.work import JudgeRow


@dataclass(frozen=True, slots=True)
class Question:
    """What a judge is sent for one aspect; `schema` for engines that constrain their output."""

    messages: tuple[Message, ...]
    schema: dict[str, JsonValue] | None = None


class Rubric(Protocol):
    """Asks about the texts of a row and reads the answer. Pure: no I/O after construction."""

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
        """The question that shows `row.generations[i] for i in order`, numbered from 1."""
        ...

    def read(self, aspect: str, answer: str, texts: int) -> tuple[Reading, ...]:
        """What the answer says, one reading per shown text, in shown order; always `texts`."""
        ...

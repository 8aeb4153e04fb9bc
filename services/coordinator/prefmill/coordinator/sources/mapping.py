"""A record of any data becomes a `Prompt`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prefmill.contracts.chat import Failure, Message
from prefmill.contracts.reasons import BAD_ROW, MISSING_INSTRUCTION, NOT_TEXT, TOO_LONG
from prefmill.contracts.rows import GivenResponse, Prompt
from prefmill.contracts.work import Reference
from prefmill.coordinator.sources.answers import answers_of, responses_of, says_more
from prefmill.coordinator.sources.columns import ABSENT, Column, Columns
from prefmill.coordinator.sources.plain import is_null, plain_record
from prefmill.coordinator.sources.rowfault import RowFault
from prefmill.coordinator.sources.turns import turns_of
from prefmill.engines.text import clean

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that could not even be read as a record, and why."""

    detail: str


@dataclass(slots=True)
class _Draft:
    """A prompt in the making: what is known when a fault is met is kept. `used` names the columns
    that found their place, and so are no metadata."""

    record: Record
    id: str
    messages: tuple[Message, ...] = ()
    reference: Reference | None = None
    responses: tuple[GivenResponse, ...] = ()
    used: set[str] = field(default_factory=set[str])

    def prompt(self, failure: Failure | None) -> Prompt:
        return Prompt(
            id=self.id,
            messages=self.messages,
            reference=self.reference,
            responses=self.responses,
            metadata=plain_record(self.record, self.used),
            failure=failure,
        )


class PromptMapping:
    """Turns records into prompts, by the columns of a source."""

    def __init__(self, columns: Columns, max_chars: int, note: str | None = None) -> None:
        """`note` is said of every row that brings none of its own."""
        self.columns = columns
        self._max_chars = max_chars
        self._note = note
        self._id_column = columns.get("id")
        self._system_column = columns.get("system")
        known = any(map(columns.get, ("reference", "incorrect", "note")))
        self._knows_answers = known or bool(note)

    def prompt(self, record: Record | Unreadable, position: int) -> Prompt:
        """The prompt at `position`; with a failure if the record cannot be used."""
        if isinstance(record, Unreadable):
            return _Draft({}, str(position)).prompt(Failure(reason=BAD_ROW, detail=record.detail))
        draft = _Draft(record, str(position))
        try:
            self._fill(draft)
        except RowFault as fault:
            return draft.prompt(Failure(reason=fault.reason, detail=fault.detail))
        return draft.prompt(None)

    def _fill(self, draft: _Draft) -> None:
        self._id(draft)
        self._messages(draft)
        self._system(draft)
        if self._knows_answers:
            self._reference(draft)
        self._responses(draft)
        self._refuse_long(draft)

    def _id(self, draft: _Draft) -> None:
        column = self._id_column
        value = column.of(draft.record) if column else None
        if column is None or value is ABSENT or is_null(value) or value == "":
            return
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            draft.id = clean(str(value))
            draft.used.add(column.name)
        elif column.asked:
            raise RowFault(BAD_ROW, f"{column.name} is {type(value).__name__}, no id")

    def _messages(self, draft: _Draft) -> None:
        for ours, column in self.columns.prompts:
            value = column.of(draft.record)
            if value is ABSENT or is_null(value):
                continue
            if isinstance(value, str) and ours != "messages":
                draft.messages = (_user(value, column.name),)
            elif isinstance(value, (list, tuple)) or ours == "messages":
                draft.messages = turns_of(value, column.name)
            else:
                raise RowFault(NOT_TEXT, f"{column.name} is {type(value).__name__}, not text")
            draft.used.add(column.name)
            return
        names = " or ".join(column.name for _, column in self.columns.prompts)
        raise RowFault(MISSING_INSTRUCTION, f"{names} is null or missing")

    def _system(self, draft: _Draft) -> None:
        """A system prompt of its own column, unless the conversation opens with one."""
        column = self._system_column
        value = column.of(draft.record) if column else None
        if column is None or value is ABSENT or is_null(value):
            return
        if not isinstance(value, str):
            if column.asked:
                raise RowFault(NOT_TEXT, f"{column.name} is {type(value).__name__}, not text")
            return
        if draft.messages[0].role == "system":
            return
        draft.used.add(column.name)
        if value.strip():
            draft.messages = (Message(role="system", content=clean(value)), *draft.messages)

    def _reference(self, draft: _Draft) -> None:
        correct, incorrect, note = (
            self._answers(draft, ours) for ours in ("reference", "incorrect", "note")
        )
        text = "\n".join(note) if note else self._note
        if correct or incorrect or text:
            draft.reference = Reference(correct=correct, incorrect=incorrect, note=text)

    def _answers(self, draft: _Draft, ours: str) -> tuple[str, ...]:
        column = self.columns.get(ours)
        value = column.of(draft.record) if column else None
        if column is None or value is ABSENT:
            return ()
        answers = answers_of(value, column.name)
        draft.used.add(column.name)
        return answers

    def _responses(self, draft: _Draft) -> None:
        column = self.columns.get("responses")
        value = column.of(draft.record) if column else None
        if column is None or value is ABSENT:
            return
        models = self._models(draft)
        beside = None if models is None else models.of(draft.record)
        draft.responses = responses_of(value, None if beside is ABSENT else beside, column.name)
        if models is not None:
            draft.used.add(models.name)
        if not says_more(value):
            draft.used.add(column.name)

    def _models(self, draft: _Draft) -> Column | None:
        """The column that says who wrote a list of texts."""
        column = self.columns.get("models")
        if column is None or column.of(draft.record) is ABSENT:
            return None
        return column

    def _refuse_long(self, draft: _Draft) -> None:
        limit = self._max_chars
        length = sum(len(turn.content) for turn in draft.messages)
        if length > limit:
            start = draft.messages[-1].content[:60]
            draft.messages = ()
            raise RowFault(
                TOO_LONG,
                f"the conversation has {length:,} characters, max_chars is {limit:,}; it begins "
                f"{start!r}",
            )
        for given in draft.responses:
            if given.text is not None and len(given.text) > limit:
                draft.responses = ()
                raise RowFault(
                    TOO_LONG,
                    f"the response of {given.model} has {len(given.text):,} characters, "
                    f"max_chars is {limit:,}",
                )


def _user(text: str, column: str) -> Message:
    if not text:
        raise RowFault(MISSING_INSTRUCTION, f"{column} is empty")
    if text.isspace():
        raise RowFault(MISSING_INSTRUCTION, f"{column} is only white space")
    return Message(role="user", content=clean(text))

"""The columns that several formats share: their Arrow types, and their values."""

from collections.abc import Callable
from typing import Any, Final

from pydantic_core import to_json

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Message
from prefmill.contracts.reasons import NOT_FINISHED, NOT_JUDGED
from prefmill.contracts.rows import Generation, Prompt
from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.sink.arrow import lean_arrow

Record = dict[str, Any]
"""One row of a dataset: column → value."""

ArrowType = Callable[[], Any]
"""Makes a pyarrow type. Types and schemas are made when an export begins: pyarrow is heavy, and a
recipe is checked, and all of it but its datasets made, without it."""
Schema = Callable[[], Any]
"""Makes a pyarrow.Schema."""


def _plain(name: str) -> ArrowType:
    return lambda: getattr(lean_arrow(), name)()  # noqa: PLW0108 - it imports, when it is called


TEXT: Final[ArrowType] = _plain("string")
SCORE: Final[ArrowType] = _plain("float64")
INTEGER: Final[ArrowType] = _plain("int64")
BOOLEAN: Final[ArrowType] = _plain("bool_")


class NoOptions(Strict):
    """A format without options."""


def list_of(values: ArrowType) -> ArrowType:
    """A column of lists."""
    return lambda: lean_arrow().list_(values())


def struct_of(**fields: ArrowType) -> ArrowType:
    """A column of records with these fields."""
    return lambda: lean_arrow().struct([(name, made()) for name, made in fields.items()])


def schema_of(**columns: ArrowType) -> Schema:
    """The columns in order, between `id` and `metadata`."""
    named = {"id": TEXT, **columns, "metadata": TEXT}
    return lambda: lean_arrow().schema([(name, made()) for name, made in named.items()])


TEXTS: Final[ArrowType] = list_of(TEXT)
SCORES: Final[ArrowType] = list_of(SCORE)
MESSAGES: Final[ArrowType] = list_of(struct_of(role=TEXT, content=TEXT))


def metadata_of(prompt: Prompt) -> str:
    """All other columns of the source, as JSON."""
    return to_json(prompt.metadata).decode()


def conversation(prompt: Prompt) -> list[Record]:
    """The whole conversation as records; an empty system prompt is left out."""
    return [
        {"role": message.role, "content": message.content}
        for message in prompt.messages
        if message.content or message.role != "system"
    ]


def messages_of(messages: tuple[Message, ...]) -> list[Record]:
    """The messages as they are."""
    return [{"role": message.role, "content": message.content} for message in messages]


def assistant(text: str | None) -> Record:
    """An answer as a message."""
    return {"role": "assistant", "content": text}


def model_of(generation: Generation) -> str:
    """The model id that answered; where none did, the recipe's alias."""
    return generation.model_id or generation.model


def unusable(scored: ScoredRow) -> str | None:
    """Why the row has no place in any format: it could not be loaded, or is not finished."""
    if scored.row.prompt.failure is not None:
        return scored.row.prompt.failure.reason
    return NOT_FINISHED if scored.row.open_cells else None


def unscored(scored: ScoredRow, context: FormatContext) -> str | None:
    """Why the row has no place in a format that is made of scores."""
    return scored.dropped or (None if context.judges else NOT_JUDGED)


def dropped(reason: str) -> Written:
    """No records, and why."""
    return Written((), "dropped", reason)

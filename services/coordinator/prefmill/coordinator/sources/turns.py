"""A conversation, from any of the forms in which data has it."""

from collections.abc import Mapping
from typing import Any, Final, Literal, cast

from pydantic_core import from_json

from prefmill.contracts.chat import Message
from prefmill.contracts.reasons import BAD_ROW, MISSING_INSTRUCTION, NOT_TEXT
from prefmill.coordinator.sources.plain import is_null
from prefmill.coordinator.sources.rowfault import RowFault
from prefmill.engines.text import clean

Role = Literal["system", "user", "assistant"]

ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}


def turns_of(value: Any, column: str) -> tuple[Message, ...]:
    """The messages of a list of turns, `{role, content}` or ShareGPT's `{from, value}`.

    Also of such a list as JSON text. An optional system turn, then user and assistant in turn; the
    last is the user's. RowFault if it is otherwise.
    """
    turns = _listed(value, column)
    messages = tuple(_turn(turn, number) for number, turn in enumerate(turns, 1))
    dialogue = messages[1:] if messages[0].role == "system" else messages
    offset = len(messages) - len(dialogue)
    for place, turn in enumerate(dialogue):
        due = "assistant" if place % 2 else "user"
        if turn.role != due:
            number = place + offset + 1
            raise RowFault(BAD_ROW, f"turn {number} is the {turn.role}'s; the {due}'s was due")
    if not dialogue:
        raise RowFault(MISSING_INSTRUCTION, "the conversation has no user turn")
    if dialogue[-1].role != "user":
        raise RowFault(
            BAD_ROW,
            "the conversation ends with the assistant's turn; leave it out, or give it as one of "
            "the `responses`",
        )
    return messages


def _listed(value: Any, column: str) -> list[Any]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = from_json(value)
        except ValueError as error:
            raise RowFault(BAD_ROW, f"{column}: no valid JSON: {error}") from error
    if is_null(value) or value in ([], (), ""):
        raise RowFault(MISSING_INSTRUCTION, f"{column} is empty")
    if not isinstance(value, (list, tuple)):
        kind = type(value).__name__
        raise RowFault(NOT_TEXT, f"{column} is {kind}, not a list of turns")
    return list(cast("list[Any]", value))


def _turn(turn: Any, number: int) -> Message:
    if not isinstance(turn, Mapping):
        raise RowFault(BAD_ROW, f"turn {number} is no record with `role` and `content`")
    fields = cast("Mapping[str, Any]", turn)
    role = fields.get("role") or fields.get("from")
    if role not in ROLES:
        raise RowFault(BAD_ROW, f"turn {number} has the role {role!r}; roles: {', '.join(ROLES)}")
    content = fields["content"] if "content" in fields else fields.get("value")
    return Message(role=ROLES[role], content=clean(_text(content, number)))


def _text(content: Any, number: int) -> str:
    if isinstance(content, list):
        content = _joined(cast("list[Any]", content), number)
    if is_null(content) or content == "":
        raise RowFault(MISSING_INSTRUCTION, f"turn {number} is empty")
    if not isinstance(content, str):
        raise RowFault(NOT_TEXT, f"turn {number} is {type(content).__name__}, not text")
    if not content.strip():
        raise RowFault(MISSING_INSTRUCTION, f"turn {number} is only white space")
    return content


def _joined(parts: list[Any], number: int) -> str:
    """The text of content given as parts, as OpenAI's API has it."""
    records = (cast("dict[str, Any]", p) if isinstance(p, dict) else {"text": p} for p in parts)
    texts = [record.get("text") for record in records]
    if not all(isinstance(text, str) for text in texts):
        raise RowFault(NOT_TEXT, f"turn {number} has parts that are not text")
    return "".join(cast("list[str]", texts))

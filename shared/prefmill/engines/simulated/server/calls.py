"""What both wires have in common once they are read, and what they offer to the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic import ValidationError

from prefmill.engines.simulated.asked import Asked
from prefmill.engines.simulated.simulation import Outcome

BAD: Final = 400
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
NO_METHOD: Final = 405
TOO_LARGE: Final = 413
TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was understood. `usage` asks a stream to end with the tokens used."""

    asked: Asked
    stream: bool = False
    usage: bool = False


class BadRequest(Exception):
    """The body is not what the wire asks for; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


def bad_request(error: ValidationError) -> BadRequest:
    """The first problem of a body in one line."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join([str(part) for part in problem["loc"]])
    if problem["type"] == "json_invalid":
        return BadRequest(f"The body is no JSON: {problem['msg']}")
    return BadRequest(f"{place}: {problem['msg']}", place or None)


class Wire(Protocol):
    """One wire format: reads requests and writes answers, errors and streams as bytes."""

    name: str

    def key(self, headers: Mapping[str, str]) -> str:
        """The API key that the headers carry; empty if none."""
        ...

    def read(self, body: bytes) -> Call:
        """The call; BadRequest if the body is none."""
        ...

    def answer(self, call: Call, outcome: Outcome) -> bytes:
        """The whole answer."""
        ...

    def events(self, call: Call, outcome: Outcome) -> list[bytes]:
        """The answer as server-sent events."""
        ...

    def error(self, status: int, message: str, param: str | None = None) -> bytes:
        """An error's body."""
        ...

    def status(self, fault: str) -> int:
        """The HTTP status of the faults `429`, `500` and `503` on this wire."""
        ...

    def model(self, name: str) -> dict[str, Any]:
        """A model, as lists of models show it."""
        ...

    def models(self, names: Sequence[str]) -> bytes:
        """The list of models."""
        ...


def pieces(text: str, words: int = 8) -> list[str]:
    """The text in pieces of about so many words, nothing lost."""
    parts = text.split(" ")
    groups = [" ".join(parts[at : at + words]) for at in range(0, len(parts), words)]
    return [group if at == 0 else f" {group}" for at, group in enumerate(groups) if text]

"""Engines: chat completions, of a local model or an API."""

from datetime import timedelta
from typing import ClassVar, NamedTuple, Protocol

import msgspec
from pydantic import Field, JsonValue

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Message, Params, Usage


class EngineOptions(Strict):
    """Options every engine has; each engine adds its own."""

    model: str = Field(description="The model id, as the server or the Hub knows it.")
    revision: str | None = Field(default=None, description="Of the model, where it has any.")
    timeout_s: float = Field(default=600.0, gt=0, description="Seconds to wait for one answer.")

    def identity(self) -> dict[str, JsonValue]:
        """The options that determine an answer: not the URL, not the key, not the time-out."""
        return {"model": self.model, "revision": self.revision}


class ChatRequest(msgspec.Struct, frozen=True):
    """One completion to be made. `schema` asks for JSON of that JSON Schema, where the engine
    can; others ignore it. `logprobs` asks for so many of the likeliest tokens at each place of the
    answer, where the engine can."""

    messages: tuple[Message, ...]
    params: Params
    seed: int
    schema: dict[str, JsonValue] | None = None
    logprobs: int | None = None


class TokenLogprobs(NamedTuple):
    """One token of an answer: its text and natural-log probability, and those of the likeliest
    tokens at its place, likeliest first."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...]


class Completion(msgspec.Struct, frozen=True):
    """One answer. `text` holds no NUL and no lone surrogate; `logprobs` has an entry per token if
    they were asked for and the engine has them."""

    text: str
    finish_reason: str
    model: str
    usage: Usage
    logprobs: tuple[TokenLogprobs, ...] = ()


class Engine(Protocol):
    """Answers chat requests. Raises Transient, Rejected or Unusable, nothing else; never retries.

    `paid` says whether calls may cost money; `needs` names what the environment must hold.

    An engine that runs the model itself may have two methods more. `wanted(running: int) -> int |
    None` is asked often, several times for each call, and says how many calls it wants in flight
    now that `running` are; None: as the lane's `concurrency` says; EngineDied: it has died.
    `metrics() -> CollectorRegistry` gives its own metrics, in the words of prometheus_client.
    If its options have `gpus`, each lane of it gets a worker of its own, with so many devices.
    """

    Options: ClassVar[type[EngineOptions]]

    def __init__(self, options: EngineOptions) -> None: ...

    @property
    def paid(self) -> bool:
        """Whether a call may cost money (an API that is not on this machine)."""
        ...

    def missing(self) -> str | None:
        """What the environment lacks (a key, a library), in one line; None if nothing."""
        ...

    async def start(self) -> None:
        """Open connections or load the model."""
        ...

    async def probe(self, params: Params) -> None:
        """The cheapest request that shows key, URL and model to be right. Raises as complete."""
        ...

    async def complete(self, request: ChatRequest) -> Completion:
        """Answer one request."""
        ...

    async def stop(self) -> None:
        """Close what `start` opened."""
        ...


def timeout_of(options: EngineOptions) -> timedelta:
    """The call time-out as a timedelta."""
    return timedelta(seconds=options.timeout_s)

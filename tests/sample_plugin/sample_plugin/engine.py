"""`{engine: parrot, model: …}`: says again what it was told, so many times."""

import re
from typing import ClassVar

from pydantic import Field, JsonValue

from prefmill.contracts.chat import Params, Usage
from prefmill.plugins.engine import ChatRequest, Completion, EngineOptions
from prefmill.plugins.errors import Rejected


class ParrotOptions(EngineOptions):
    """Beside those that every engine has."""

    times: int = Field(default=1, ge=1, description="How often it says it.")

    def identity(self) -> dict[str, JsonValue]:
        """`times` determines an answer, so equal answers are reused only where it is equal."""
        return super().identity() | {"times": self.times}


class Parrot:
    """Repeats the last turn; asked how long a text is, it counts the words."""

    Options: ClassVar[type[EngineOptions]] = ParrotOptions
    paid = False

    def __init__(self, options: EngineOptions) -> None:
        assert isinstance(options, ParrotOptions)
        self._options = options

    def missing(self) -> str | None:
        """It needs no key."""
        return None

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def probe(self, params: Params) -> None:
        """Always there."""

    async def complete(self, request: ChatRequest) -> Completion:
        """Rejected for a prompt that asks for silence."""
        said = request.messages[-1].content
        if "silence" in said:
            raise Rejected("refused", "parrots are not silent")
        text = " ".join([said] * self._options.times)
        if counted := re.match(r"How many words\?\n(.*)", said, re.DOTALL):
            text = f"Words: {len(counted[1].split())}"
        usage = Usage(input_tokens=len(said), output_tokens=len(text))
        return Completion(text, "stop", self._options.model, usage)

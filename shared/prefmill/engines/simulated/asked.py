"""What was asked, however it came: by a call of the engine or over either wire."""

from typing import Any, NamedTuple

from prefmill.engines.simulated.chance import draw
from prefmill.plugins.engine import ChatRequest


class Asked(NamedTuple):
    """One request. `turns` are (role, content); `settings` is any text that tells parameters
    apart which do not shape a simulated answer (temperature, top_p, …)."""

    model: str
    turns: tuple[tuple[str, str], ...]
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    settings: str = ""

    @property
    def system(self) -> str:
        """What the system turns say."""
        return "\n".join([content for role, content in self.turns if role == "system"])

    @property
    def prompt(self) -> str:
        """The last user turn."""
        for role, content in reversed(self.turns):
            if role == "user":
                return content
        return ""

    @property
    def chars(self) -> int:
        """Characters of all turns."""
        return sum([len(content) for _, content in self.turns])


def asked_by(request: ChatRequest, model: str) -> Asked:
    """The request of an engine's caller."""
    params = request.params
    return Asked(
        model=model,
        turns=tuple([(message.role, message.content) for message in request.messages]),
        seed=request.seed,
        max_tokens=params.max_tokens,
        stop=params.stop,
        schema=request.schema,
        settings=f"{params.temperature} {params.top_p}",
    )


def content_key(asked: Asked, world: int) -> int:
    """64 bits from all of the request but its seed, in the world of the simulation's seed."""
    flat = [part for turn in asked.turns for part in turn]
    form = "json" if asked.schema is not None else "text"
    return draw(world, asked.model, asked.settings, asked.max_tokens, *asked.stop, form, *flat)

"""A conversation, the parameters of a completion, and what it used."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta
from pydantic import AliasChoices, Field, JsonValue

from prefmill.contracts.base import Strict, Wire

Turn = Mapping[str, str]
"""A message as JSON holds it: `role` and `content`."""


class Message(Wire):
    """One turn of a conversation."""

    role: Annotated[Literal["system", "user", "assistant"], Meta(description="Who speaks.")]
    content: Annotated[str, Meta(description="What is said, as plain text.")]


class Params(Strict):
    """Sampling parameters by the names that OpenAI-compatible servers use; None leaves the
    server's default. `max_new_tokens` and `stop_sequences` are understood as well."""

    max_tokens: int | None = Field(
        default=None,
        ge=1,
        validation_alias=AliasChoices("max_tokens", "max_new_tokens", "max_completion_tokens"),
        description="Most tokens of one answer.",
    )
    temperature: float | None = Field(default=None, ge=0, description="0 is greedy.")
    top_p: float | None = Field(default=None, gt=0, le=1, description="Nucleus sampling.")
    top_k: int | None = Field(default=None, ge=-1, description="Only the k likeliest tokens.")
    min_p: float | None = Field(default=None, ge=0, le=1, description="Relative cut-off.")
    presence_penalty: float | None = Field(default=None, description="OpenAI's, -2 to 2.")
    frequency_penalty: float | None = Field(default=None, description="OpenAI's, -2 to 2.")
    repetition_penalty: float | None = Field(default=None, gt=0, description="vLLM's and TGI's.")
    stop: tuple[str, ...] = Field(
        default=(),
        validation_alias=AliasChoices("stop", "stop_sequences"),
        description="Texts at which an answer ends; they are not part of it.",
    )
    extra_body: dict[str, JsonValue] = Field(
        default_factory=dict, description="Fields sent to the server as they are."
    )

    def over(self, base: "Params") -> "Params":
        """These parameters where they are set, those of `base` elsewhere."""
        mine = self.model_dump(exclude_unset=True)
        if "extra_body" in mine:
            mine["extra_body"] = base.extra_body | self.extra_body
        return base.model_copy(update={**mine, "stop": self.stop or base.stop})


class Usage(Wire):
    """Tokens that a call was charged for."""

    input_tokens: Annotated[int, Meta(ge=0, description="Tokens of the prompt.")] = 0
    output_tokens: Annotated[int, Meta(ge=0, description="Tokens written, thinking included.")] = 0


class Failure(Wire):
    """Why a cell, a row or a lane has no result: a value, never an exception on the wire."""

    reason: Annotated[str, Meta(description="A reason code, see prefmill.contracts.reasons.")]
    detail: Annotated[str, Meta(description="What exactly happened, for a person.")] = ""

"""Anthropic's messages: request, answer, stream and errors, as its API reference has them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from prefmill.engines.simulated.asked import Asked
from prefmill.engines.simulated.server.calls import Call, bad_request, pieces
from prefmill.engines.simulated.simulation import Outcome

_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


class _Block(BaseModel):
    type: str
    text: str = ""


class _Turn(BaseModel):
    role: Literal["user", "assistant"]
    content: str | list[_Block]


class _Format(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema")


class _OutputConfig(BaseModel):
    format: _Format | None = None


class _Body(BaseModel):
    model: str
    messages: list[_Turn] = Field(min_length=1)
    max_tokens: int = Field(ge=1)
    system: str | list[_Block] | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    stream: bool | None = None


class AnthropicWire:
    """`POST /v1/messages`."""

    name = "anthropic"

    def key(self, headers: Mapping[str, str]) -> str:
        """From `x-api-key`, or a bearer token."""
        bearer = headers.get("Authorization", "").removeprefix("Bearer ").strip()
        return headers.get("x-api-key", bearer)

    def read(self, body: bytes) -> Call:
        """The call; BadRequest if the body is none. This wire carries no seed."""
        try:
            asked = _Body.model_validate_json(body)
        except ValidationError as error:
            raise bad_request(error) from error
        return Call(_asked(asked), bool(asked.stream))

    def answer(self, call: Call, outcome: Outcome) -> bytes:
        """A `message`."""
        content = [{"type": "text", "text": text} for text in _texts(outcome)]
        ends = {"stop_reason": _reason(outcome), "stop_sequence": outcome.stopped_by}
        usage = _input(outcome) | {"output_tokens": outcome.output_tokens}
        return to_json(_head(call, outcome) | {"content": content, **ends, "usage": usage})

    def events(self, call: Call, outcome: Outcome) -> list[bytes]:
        """From `message_start` to `message_stop`."""
        opening: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        usage = {"usage": _input(outcome) | {"output_tokens": 1}}
        ends = {"stop_reason": _reason(outcome), "stop_sequence": outcome.stopped_by}
        return [
            _event("message_start", message=_head(call, outcome) | opening | usage),
            *[event for text in _texts(outcome) for event in _block_events(text)],
            _event("message_delta", delta=ends, usage={"output_tokens": outcome.output_tokens}),
            _event("message_stop"),
        ]

    def error(self, status: int, message: str, param: str | None = None) -> bytes:
        """`{"type": "error", "error": {"type", "message"}}`."""
        kind = _ERRORS.get(status, "api_error")
        error = {"type": kind, "message": message}
        return to_json({"type": "error", "error": error, "request_id": None})

    def status(self, fault: str) -> int:
        """As the fault is named, but an overloaded server says 529 here."""
        return 529 if fault == "503" else int(fault)

    def model(self, name: str) -> dict[str, Any]:
        """A `model` object."""
        born = "1970-01-01T00:00:00Z"
        return {"type": "model", "id": name, "display_name": name, "created_at": born}

    def models(self, names: Sequence[str]) -> bytes:
        """A page of models, the only one."""
        ends = {"first_id": names[0], "last_id": names[-1]} if names else {}
        return to_json({"data": [self.model(name) for name in names], "has_more": False, **ends})


def _asked(body: _Body) -> Asked:
    turns = [(turn.role, _text(turn.content)) for turn in body.messages]
    system = [("system", _text(body.system))] if body.system else []
    wanted = body.output_format or (body.output_config and body.output_config.format)
    return Asked(
        model=body.model,
        turns=(*system, *turns),
        max_tokens=body.max_tokens,
        stop=tuple(body.stop_sequences or ()),
        schema=wanted.json_schema if wanted else None,
        settings=f"{body.temperature} {body.top_p} {body.top_k}",
    )


def _text(content: str | list[_Block]) -> str:
    if isinstance(content, str):
        return content
    return "".join([block.text for block in content if block.type == "text"])


def _texts(outcome: Outcome) -> list[str]:
    """The texts of the content blocks: none for an empty answer or a refusal."""
    return [outcome.text] if outcome.text and outcome.finish != "content_filter" else []


def _reason(outcome: Outcome) -> str:
    return "stop_sequence" if outcome.stopped_by else _REASONS[outcome.finish]


def _head(call: Call, outcome: Outcome) -> dict[str, Any]:
    number = f"msg_{outcome.key:016x}{outcome.arrival:x}"
    return {"id": number, "type": "message", "role": "assistant", "model": call.asked.model}


def _input(outcome: Outcome) -> dict[str, int]:
    return {
        "input_tokens": outcome.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }


def _block_events(text: str) -> list[bytes]:
    return [
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *[
            _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in pieces(text)
        ],
        _event("content_block_stop", index=0),
    ]


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + to_json({"type": kind, **fields}) + b"\n\n"

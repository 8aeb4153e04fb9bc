"""OpenAI's chat completions: request, answer, stream and errors, as its API reference has them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from prefmill.engines.simulated.asked import Asked
from prefmill.engines.simulated.server.calls import NOT_FOUND, Call, bad_request, pieces
from prefmill.engines.simulated.simulation import Outcome

_ERRORS: Final[dict[int, tuple[str, str | None]]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    405: ("invalid_request_error", None),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
}


class _Part(BaseModel):
    type: str = "text"
    text: str = ""


class _Turn(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None


class _Schema(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class _Format(BaseModel):
    type: str
    json_schema: _Schema | None = None


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _Body(BaseModel):
    model: str
    messages: list[_Turn] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    response_format: _Format | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


class OpenAIWire:
    """`POST /v1/chat/completions`."""

    name = "openai"

    def key(self, headers: Mapping[str, str]) -> str:
        """From `Authorization: Bearer …`."""
        return headers.get("Authorization", "").removeprefix("Bearer ").strip()

    def read(self, body: bytes) -> Call:
        """The call; BadRequest if the body is none."""
        try:
            asked = _Body.model_validate_json(body)
        except ValidationError as error:
            raise bad_request(error) from error
        options = asked.stream_options
        return Call(_asked(asked), bool(asked.stream), bool(options and options.include_usage))

    def answer(self, call: Call, outcome: Outcome) -> bytes:
        """A `chat.completion`."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", **_content(outcome)},
            "logprobs": None,
            "finish_reason": outcome.finish,
        }
        head = _head(call, outcome, "chat.completion")
        return to_json(head | {"choices": [choice], "usage": _usage(outcome)})

    def events(self, call: Call, outcome: Outcome) -> list[bytes]:
        """`chat.completion.chunk`s and `[DONE]`."""
        content = _content(outcome)
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in pieces(content["content"] or "")]
        deltas += [{"refusal": content["refusal"]}] if content["refusal"] else []
        head = _head(call, outcome, "chat.completion.chunk")
        ends = [None] * len(deltas) + [outcome.finish]
        chunks = [
            head | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
            for delta, end in zip([*deltas, {}], ends, strict=True)
        ]
        if call.usage:
            chunks.append(head | {"choices": [], "usage": _usage(outcome)})
        return [b"data: " + to_json(chunk) + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]

    def error(self, status: int, message: str, param: str | None = None) -> bytes:
        """`{"error": {"message", "type", "param", "code"}}`."""
        kind, code = _ERRORS.get(status, ("server_error", None))
        if status == NOT_FOUND and param != "model":
            code = None
        return to_json({"error": {"message": message, "type": kind, "param": param, "code": code}})

    def status(self, fault: str) -> int:
        """As the fault is named."""
        return int(fault)

    def model(self, name: str) -> dict[str, Any]:
        """A `model` object."""
        return {"id": name, "object": "model", "created": 0, "owned_by": "prefmill"}

    def models(self, names: Sequence[str]) -> bytes:
        """A `list` of models."""
        return to_json({"object": "list", "data": [self.model(name) for name in names]})


def _asked(body: _Body) -> Asked:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    wanted = body.response_format and body.response_format.json_schema
    return Asked(
        model=body.model,
        turns=tuple([(_role(turn.role), _text(turn.content)) for turn in body.messages]),
        seed=body.seed,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=stop,
        schema=wanted.json_schema if wanted else None,
        settings=f"{body.temperature} {body.top_p}",
    )


def _role(role: str) -> str:
    return "system" if role == "developer" else role


def _text(content: str | list[_Part] | None) -> str:
    if isinstance(content, list):
        return "".join([part.text for part in content])
    return content or ""


def _head(call: Call, outcome: Outcome, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{outcome.key:016x}{outcome.arrival:x}",
        "object": kind,
        "created": int(time.time()),
        "model": call.asked.model,
        "system_fingerprint": "fp_simulated",
    }


def _content(outcome: Outcome) -> dict[str, Any]:
    if outcome.finish == "content_filter":
        return {"content": None, "refusal": outcome.text}
    return {"content": outcome.text, "refusal": None}


def _usage(outcome: Outcome) -> dict[str, int]:
    return {
        "prompt_tokens": outcome.input_tokens,
        "completion_tokens": outcome.output_tokens,
        "total_tokens": outcome.input_tokens + outcome.output_tokens,
    }

"""Anthropic's Messages API, and servers that speak it.

https://docs.anthropic.com/en/api/messages
"""

from typing import Any, Final

from pydantic import Field, JsonValue
from yarl import URL

from prefmill.contracts.chat import Params, Usage
from prefmill.engines import address
from prefmill.engines.remote import NoCompletion, RemoteEngine, tokens
from prefmill.engines.remote_options import RemoteOptions
from prefmill.engines.server_error import record, records
from prefmill.plugins.engine import ChatRequest, Completion

DEFAULT_MAX_TOKENS: Final = 4096
"""The API wants a limit. This is the most that every one of its models takes."""

_AS_THEY_ARE: Final = ("temperature", "top_p")
_NOT_HERE: Final = ("min_p", "presence_penalty", "frequency_penalty", "repetition_penalty")

_FINISH: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}


class AnthropicOptions(RemoteOptions):
    """Options of the engine `anthropic`."""

    api_version: str = Field(
        default="2023-06-01",
        description="Sent as `anthropic-version`; 2026-10-21 takes no sampling parameters.",
    )

    def identity(self) -> dict[str, JsonValue]:
        """Those of all HTTP engines, and the API's version."""
        return super().identity() | {"api_version": self.api_version}


class AnthropicEngine(RemoteEngine):
    """POST {base_url}/v1/messages."""

    Options = AnthropicOptions
    vendor_url = "https://api.anthropic.com"
    url_env = "ANTHROPIC_BASE_URL"
    key_env = "ANTHROPIC_API_KEY"

    def __init__(self, options: AnthropicOptions) -> None:
        super().__init__(options)
        self._api_version = options.api_version
        self._not_sent: set[str] = set()

    def _urls(self) -> tuple[URL, URL]:
        has_version = self.base_url.endswith(("/v1", "/v1/messages"))
        root = self.base_url if has_version else f"{self.base_url}/v1"
        return address.below(root, "messages"), address.below(root, "models", limit="1000")

    def _headers(self, key: str) -> dict[str, str]:
        fixed = {"Content-Type": "application/json", "anthropic-version": self._api_version}
        return fixed | ({"x-api-key": key} if key else {})

    def _fields(self, params: Params) -> dict[str, Any]:
        values = {name: getattr(params, name) for name in _AS_THEY_ARE}
        fields = {name: value for name, value in values.items() if value is not None}
        fields["max_tokens"] = params.max_tokens or DEFAULT_MAX_TOKENS
        if params.top_k is not None and params.top_k > 0:
            fields["top_k"] = params.top_k
        if params.stop:
            fields["stop_sequences"] = params.stop
        self._say_what_is_not_sent(params)
        fields |= self.options.extra_body | params.extra_body
        return {name: value for name, value in fields.items() if name not in self._omitted}

    def _say_what_is_not_sent(self, params: Params) -> None:
        wanted = {name for name in _NOT_HERE if getattr(params, name) is not None}
        if new := wanted - self._not_sent - self._omitted:
            self._not_sent |= new
            self._say(f"this API has no {', '.join(sorted(new))}: not sent")

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.options.model,
            "messages": [turn for turn in request.messages if turn.role != "system"],
        }
        if system := "\n\n".join(m.content for m in request.messages if m.role == "system"):
            body["system"] = system
        body.update(self._known_fields(request.params))
        if request.schema is not None and self.options.structured:
            form = {"format": {"type": "json_schema", "schema": request.schema}}
            body["output_config"] = record(body.get("output_config")) | form
        return body

    def _read(self, document: dict[str, Any]) -> Completion:
        content = document.get("content")
        if not isinstance(content, list):
            raise NoCompletion("it has no list of content blocks")
        stop_reason = str(document.get("stop_reason") or "")
        blocks = (block for block in records(content) if block.get("type") == "text")
        completion = Completion(
            text="".join(str(block.get("text") or "") for block in blocks),
            finish_reason=_FINISH.get(stop_reason, stop_reason),
            model=str(document.get("model") or self.options.model),
            usage=_usage(record(document.get("usage"))),
        )
        if stop_reason == "refusal":
            why = record(document.get("stop_details")).get("explanation")
            raise self._refused(completion, str(why or "the model's classifiers stopped it"))
        return self._not_empty(completion)


def _usage(usage: dict[str, Any]) -> Usage:
    """Cached tokens are charged too, if less: `input_tokens` alone leaves them out."""
    cached = ("cache_creation_input_tokens", "cache_read_input_tokens")
    return Usage(
        input_tokens=sum(tokens(usage.get(name)) for name in ("input_tokens", *cached)),
        output_tokens=tokens(usage.get("output_tokens")),
    )

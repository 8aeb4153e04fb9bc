"""Any OpenAI-compatible chat-completions server: OpenAI, vLLM, TGI, llama.cpp, Ollama, gateways.

https://platform.openai.com/docs/api-reference/chat
"""

from typing import Any, Final, Literal, cast

from pydantic import Field
from yarl import URL

from prefmill.contracts.chat import Params, Usage
from prefmill.engines import address
from prefmill.engines.parameters import MAX_TOKENS
from prefmill.engines.remote import NoCompletion, RemoteEngine, tokens
from prefmill.engines.remote_options import RemoteOptions
from prefmill.engines.server_error import ServerError, record, records
from prefmill.plugins.engine import ChatRequest, Completion

_SEED_BITS: Final = (1 << 31) - 1
"""Seeds go out as 31 bits: some servers hold them in 32."""

_AS_THEY_ARE: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)


class OpenAIOptions(RemoteOptions):
    """Options of the engine `openai`."""

    max_tokens_field: Literal["auto", "max_tokens", "max_completion_tokens"] = Field(
        default="auto",
        description="What the server calls it; auto: OpenAI's newer name there, the older "
        "elsewhere, and the other one once the server asks for it.",
    )


class OpenAIEngine(RemoteEngine):
    """POST {base_url}/chat/completions."""

    Options = OpenAIOptions
    vendor_url = "https://api.openai.com/v1"
    url_env = "OPENAI_BASE_URL"
    key_env = "OPENAI_API_KEY"

    def __init__(self, options: OpenAIOptions) -> None:
        super().__init__(options)
        self._may_rename = options.max_tokens_field == "auto"
        self._refused_names: set[str] = set()
        self._max_tokens_field: str = options.max_tokens_field
        if self._may_rename:
            at_vendor = address.host_of(self.base_url) == address.host_of(self.vendor_url)
            self._max_tokens_field = "max_completion_tokens" if at_vendor else "max_tokens"

    def _urls(self) -> tuple[URL, URL]:
        base = self.base_url
        return address.below(base, "chat/completions"), address.below(base, "models")

    def _headers(self, key: str) -> dict[str, str]:
        json = {"Content-Type": "application/json", "Accept": "application/json"}
        return json | ({"Authorization": f"Bearer {key}"} if key else {})

    def _fields(self, params: Params) -> dict[str, Any]:
        values = {name: getattr(params, name) for name in _AS_THEY_ARE}
        fields = {name: value for name, value in values.items() if value is not None}
        if params.max_tokens is not None:
            fields[self._max_tokens_field] = params.max_tokens
        if params.stop:
            fields["stop"] = params.stop
        fields |= self.options.extra_body | params.extra_body
        return {name: value for name, value in fields.items() if name not in self._omitted}

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.options.model,
            "messages": request.messages,
        }
        if "seed" not in self._omitted:
            body["seed"] = request.seed & _SEED_BITS
        if request.schema is not None and self.options.structured:
            body["response_format"] = _json_schema(request.schema)
        body.update(self._known_fields(request.params))
        return body

    def _adapt(self, name: str, error: ServerError) -> bool:
        if name in MAX_TOKENS and self._may_rename:
            return self._rename_max_tokens(name)
        return super()._adapt(name, error)

    def _rename_max_tokens(self, refused: str) -> bool:
        """Use the other name from now on; False if the server has refused both."""
        other = MAX_TOKENS[1 - MAX_TOKENS.index(refused)]
        if other in self._refused_names:
            return False
        if refused not in self._refused_names:
            self._refused_names.add(refused)
            self._max_tokens_field = other
            self._seen = None
            self._say(f"{refused} is sent as {other} from now on")
        return True

    def _read(self, document: dict[str, Any]) -> Completion:
        choice = _first(document.get("choices"))
        if not isinstance(choice.get("message"), dict):
            raise NoCompletion("it has no choices with a message")
        message = record(choice["message"])
        completion = Completion(
            text=_text(message.get("content")),
            finish_reason=str(choice.get("finish_reason") or ""),
            model=str(document.get("model") or self.options.model),
            usage=_usage(record(document.get("usage"))),
        )
        refusal = str(message.get("refusal") or "")
        if refusal or completion.finish_reason == "content_filter":
            raise self._refused(completion, refusal or "a content filter stopped the answer")
        return self._not_empty(completion)


def _json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    named = {"name": "verdict", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": named}


def _first(choices: Any) -> dict[str, Any]:
    return record(cast("list[Any]", choices)[0]) if isinstance(choices, list) and choices else {}


def _text(content: Any) -> str:
    """A string, or parts of which those of text count."""
    if isinstance(content, str):
        return content
    parts = records(content)
    return "".join(str(p.get("text") or "") for p in parts if p.get("type", "text") == "text")


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=tokens(usage.get("prompt_tokens")),
        output_tokens=tokens(usage.get("completion_tokens")),
    )

"""Any provider that LiteLLM knows, through that library: an optional extra, imported when chosen.

Slower than prefmill's own engines (the library costs milliseconds of CPU a call): meant for what
they do not reach. Keys and URLs are LiteLLM's own, from the environment.
https://docs.litellm.ai/docs/completion/input
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, Final

from pydantic import Field, JsonValue

from prefmill.contracts.chat import Message, Params, Usage
from prefmill.contracts.reasons import EMPTY, REFUSED, REJECTED
from prefmill.engines.failures import Place, failure_of
from prefmill.engines.server_error import ServerError
from prefmill.engines.text import one_line
from prefmill.plugins.engine import ChatRequest, Completion, EngineOptions
from prefmill.plugins.errors import EngineError, Rejected, Transient, Unusable

_SEED_BITS: Final = (1 << 31) - 1
_INSTALL: Final = "the engine litellm needs LiteLLM: pip install 'prefmill-shared[litellm]'"


class LiteLLMOptions(EngineOptions):
    """Options of the engine `litellm`."""

    model: str = Field(description="As LiteLLM names it: `bedrock/…`, `gemini/…`, `mistral/…`.")
    base_url: str | None = Field(default=None, description="LiteLLM's `api_base`.")
    structured: bool = Field(default=False, description="Ask for JSON of a rubric's schema.")

    def identity(self) -> dict[str, JsonValue]:
        """Model, revision, and whether answers are held to a schema."""
        return super().identity() | {"structured": self.structured}


class LiteLLMEngine:
    """`litellm.acompletion`, without the library's own retries."""

    Options: ClassVar[type[EngineOptions]] = LiteLLMOptions

    def __init__(self, options: LiteLLMOptions) -> None:
        self._options = options
        self._place = Place(options.model, "litellm", "the provider's API key")
        self._library: Any = None

    @property
    def paid(self) -> bool:
        """Unknown to prefmill, so yes."""
        return True

    def missing(self) -> str | None:
        """The library, where it is not installed."""
        return _INSTALL if find_spec("litellm") is None else None

    async def start(self) -> None:
        """Import the library. Unusable if it is not there."""
        try:
            self._library = import_module("litellm")
        except ImportError as error:
            raise Unusable(_INSTALL) from error
        self._library.suppress_debug_info = True

    async def probe(self, params: Params) -> None:
        """One token. Unusable where the request is refused."""
        few = params.model_copy(update={"max_tokens": 1, "stop": ()})
        try:
            await self.complete(ChatRequest((Message(role="user", content="Hi"),), few, 0))
        except Rejected as error:
            if error.reason == REJECTED:
                raise Unusable(error.detail) from error

    async def complete(self, request: ChatRequest) -> Completion:
        """Answer one request. Raises Transient, Rejected or Unusable."""
        if self._library is None:
            raise Transient(self._place.line("the engine is not started"))
        try:
            answer: Any = await self._library.acompletion(**self._asked(request))
        except Exception as error:
            raise self._failure(error) from error
        return self._read(answer)

    async def stop(self) -> None:
        """Nothing to close: the library keeps its own connections."""

    def _asked(self, request: ChatRequest) -> dict[str, Any]:
        params = request.params
        sampling = params.model_dump(exclude_none=True, exclude={"extra_body", "stop"})
        asked: dict[str, Any] = {
            "model": self._options.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "timeout": self._options.timeout_s,
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": True,
            "seed": request.seed & _SEED_BITS,
            **sampling,
            **params.extra_body,
        }
        if params.stop:
            asked["stop"] = list(params.stop)
        if self._options.base_url:
            asked["api_base"] = self._options.base_url
        if request.schema is not None and self._options.structured:
            named = {"name": "verdict", "schema": request.schema, "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": named}
        return asked

    def _failure(self, error: Exception) -> EngineError:
        """The library's exceptions carry an HTTP status; what has none is a fault on the way."""
        status = getattr(error, "status_code", None)
        said = ServerError(one_line(str(error), 400), _codes(error))
        if not isinstance(status, int) or type(error).__name__ in _ON_THE_WAY:
            return Transient(self._place.line(said.message))
        headers: Any = getattr(getattr(error, "response", None), "headers", None)
        known: Mapping[str, str] = dict(headers) if headers else {}
        return failure_of(status, said, self._place, known, datetime.now(UTC))

    def _read(self, answer: Any) -> Completion:
        choice, used = answer.choices[0], getattr(answer, "usage", None)
        usage = Usage(
            input_tokens=getattr(used, "prompt_tokens", 0) or 0,
            output_tokens=getattr(used, "completion_tokens", 0) or 0,
        )
        text = choice.message.content or ""
        reason, model = str(choice.finish_reason or ""), str(answer.model or self._options.model)
        if reason == "content_filter":
            why = self._place.line("a content filter stopped the answer")
            raise Rejected(REFUSED, why, usage=usage, model=model, raw=text)
        if not text.strip():
            why = self._place.line(f"the answer holds no text (it ended with {reason})")
            raise Rejected(EMPTY, why, usage=usage, model=model, raw=text)
        return Completion(text, reason, model, usage)


_ON_THE_WAY: Final = frozenset({"APIConnectionError", "Timeout"})


def _codes(error: Exception) -> frozenset[str]:
    filtered = type(error).__name__ == "ContentPolicyViolationError"
    return frozenset({"content_policy_violation"} if filtered else ())

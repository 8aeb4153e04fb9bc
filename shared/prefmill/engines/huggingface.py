"""Hugging Face: Inference Providers through their router, and dedicated Inference Endpoints.

Both speak the OpenAI wire, so calls go out on prefmill's own HTTP path; `huggingface_hub` is only
asked where an endpoint is that a recipe names. https://huggingface.co/docs/inference-providers
"""

import asyncio
import os
from importlib.util import find_spec
from typing import Any, Final

from pydantic import Field, JsonValue, model_validator

from prefmill.engines import address
from prefmill.engines.failures import Place
from prefmill.engines.openai import OpenAIEngine, OpenAIOptions
from prefmill.plugins.errors import EngineError, RecipeError, Transient, Unusable

_ENDPOINTS: Final = ".endpoints.huggingface.cloud"
_INSTALL: Final = "install prefmill-shared[huggingface], or give its URL as base_url"


class HuggingFaceOptions(OpenAIOptions):
    """Options of the engine `huggingface`."""

    provider: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Who serves the model (`together`, `groq`, …), or `fastest` or `cheapest`; "
        "none: your account's own order. The same as `MODEL:PROVIDER` as the model.",
    )
    endpoint: str | None = Field(
        default=None,
        pattern=r"^[\w.-]+(/[\w.-]+)?$",
        description="A dedicated Inference Endpoint by name, `NAME` or `NAMESPACE/NAME`.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> "HuggingFaceOptions":
        if self.endpoint and self.base_url:
            raise ValueError("endpoint and base_url both say where it is; give one of them")
        if self.provider and (self.endpoint or ":" in self.model):
            raise ValueError("provider: the model or endpoint says already who serves it")
        return self

    @property
    def asked_for(self) -> str:
        """The model as the router knows it, with its provider."""
        return f"{self.model}:{self.provider}" if self.provider else self.model

    def identity(self) -> dict[str, JsonValue]:
        """Another provider may serve another quantization: it is another model."""
        return super().identity() | {"model": self.asked_for}


class HuggingFaceEngine(OpenAIEngine):
    """POST {router or endpoint}/v1/chat/completions. A scaled-to-zero endpoint answers 503 until
    it is up, which is waited out."""

    Options = HuggingFaceOptions
    vendor_url = "https://router.huggingface.co/v1"
    url_env = "HF_BASE_URL"
    key_env = "HF_TOKEN"

    def __init__(self, options: HuggingFaceOptions) -> None:
        self._endpoint = options.endpoint
        values: dict[str, Any] = {"model": options.asked_for}
        if options.base_url:
            values["base_url"] = _versioned(options.base_url)
        super().__init__(options.model_copy(update=values))
        if self._may_rename:
            self._max_tokens_field = "max_tokens"

    @property
    def listed_as(self) -> str:
        """The router lists models without their providers."""
        return self.options.model.partition(":")[0]

    def missing(self) -> str | None:
        """HF_TOKEN, or the library that finds an endpoint by its name."""
        if self._endpoint and find_spec("huggingface_hub") is None:
            return self._place.line(f"huggingface_hub finds endpoints by name: {_INSTALL}")
        return super().missing()

    async def start(self) -> None:
        """Find the endpoint, if one is named, and open the session. Unusable if there is none or
        it is not to be woken by a call."""
        if self._endpoint:
            self.base_url = _versioned(await asyncio.to_thread(self._found, self._endpoint))
            self.chat_url, self.models_url = self._urls()
            host = address.host_of(self.base_url)
            self._place = Place(self.options.model, host, self._key_name)
        await super().start()

    def _found(self, endpoint: str) -> str:
        from huggingface_hub import get_inference_endpoint
        from huggingface_hub.errors import HfHubHTTPError

        namespace, _, name = endpoint.rpartition("/")
        token = os.environ.get(self._key_name, "").strip() or False
        try:
            found = get_inference_endpoint(name, namespace=namespace or None, token=token)
        except HfHubHTTPError as error:
            raise self._not_found(endpoint, error.response.status_code) from error
        except OSError as error:
            raise Transient(self._place.line(f"cannot ask for {endpoint}: {error}")) from error
        if not found.url:
            said = f"the endpoint {endpoint} is {found.status} and has no URL"
            raise Unusable(self._place.line(said, "start it at endpoints.huggingface.co"))
        return found.url

    def _not_found(self, endpoint: str, status: int) -> EngineError:
        said = f"{status} when asked for the endpoint {endpoint}"
        if status == 404:
            return Unusable(self._place.line(said, "is its name right, and its namespace?"))
        if status in (401, 403):
            return Unusable(self._place.line(said, f"may the key in {self._key_name} read it?"))
        return Transient(self._place.line(said), rate_limited=status == 429)

    def _needed(self) -> list[str]:
        names = super()._needed()
        at_home = self._endpoint or address.host_of(self.base_url).endswith(_ENDPOINTS)
        return [*names, *([self._key_name] if at_home and self._key_name not in names else [])]


def _versioned(base_url: str) -> str:
    """A dedicated endpoint's own URL lacks the `/v1` that its chat completions are under."""
    try:
        url = address.checked(base_url)
    except ValueError as error:
        raise RecipeError(f"base_url: {error}") from error
    at_endpoint = address.host_of(url).endswith(_ENDPOINTS)
    return f"{url}/v1" if at_endpoint and not url.endswith("/v1") else url

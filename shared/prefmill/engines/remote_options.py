"""The options that every engine over HTTP has, and what may not stand in them."""

from typing import Final

from pydantic import Field, JsonValue, field_validator

from prefmill.engines import address
from prefmill.plugins.engine import EngineOptions

_OURS: Final = frozenset({"model", "messages", "stream", "n"})
_KEY_HEADERS: Final = frozenset({"authorization", "x-api-key", "api-key"})


class RemoteOptions(EngineOptions):
    """Options of engines over HTTP."""

    base_url: str | None = Field(
        default=None, description="Where the API begins; none: the environment's, or the vendor's."
    )
    api_key_env: str | None = Field(
        default=None, description="Environment variable of the key; none: the vendor's own name."
    )
    headers: dict[str, str] = Field(
        default={}, description="Sent with each call; `$NAME` is filled from the environment."
    )
    extra_body: dict[str, JsonValue] = Field(
        default={}, description="Fields sent with each call as they are."
    )
    structured: bool = Field(
        default=False, description="Let the server hold answers to a rubric's JSON Schema."
    )
    omit: tuple[str, ...] = Field(
        default=(), description="Parameters this model does not take, such as temperature."
    )

    @field_validator("base_url")
    @classmethod
    def _checked_url(cls, value: str | None) -> str | None:
        return None if value is None else address.checked(value)

    @field_validator("headers")
    @classmethod
    def _no_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if name.lower() in _KEY_HEADERS and not address.variables_in(text):
                raise ValueError(
                    f"{name}: a key would be stored with the recipe; write $NAME, the name of "
                    "an environment variable"
                )
        return value

    @field_validator("extra_body")
    @classmethod
    def _not_ours(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := sorted(_OURS & value.keys()):
            raise ValueError(f"{', '.join(taken)}: set by prefmill itself; leave it out")
        return value

    def identity(self) -> dict[str, JsonValue]:
        """Model, revision, and the options that change what is asked."""
        return {
            **super().identity(),
            "extra_body": self.extra_body,
            "structured": self.structured,
            "omit": [*sorted(self.omit)],
        }

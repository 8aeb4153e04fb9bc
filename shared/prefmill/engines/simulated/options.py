"""What a recipe may say of a simulated model."""

from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from prefmill.engines.simulated.faults import checked_rates
from prefmill.plugins.engine import EngineOptions


def _named(rates: Any) -> Any:
    """YAML reads the key 429 as a number."""
    if not isinstance(rates, dict):
        return rates
    return {str(name): rate for name, rate in cast("dict[Any, Any]", rates).items()}


Rates = Annotated[dict[str, float], BeforeValidator(_named), AfterValidator(checked_rates)]


class SimulatedOptions(EngineOptions):
    """Options of the `simulated` engine. Any model name will do: it decides how good its answers
    are on average."""

    model: str = Field(default="simulated", description="Any name.")
    seed: int = Field(default=0, description="Another seed makes another world.")
    latency_ms: float = Field(default=0.0, ge=0, description="Milliseconds before an answer.")
    jitter: float = Field(
        default=0.0, ge=0, le=1, description="Share of the latency it varies by, either way."
    )
    refusals: float = Field(
        default=0.0, ge=0, le=1, description="Share of prompts refused by a content filter."
    )
    quality: float | None = Field(
        default=None, ge=1, le=5, description="Mean quality; from the model's name if none."
    )
    spread: float = Field(default=1.1, ge=0, description="Standard deviation of the quality.")
    faults: Rates = Field(
        default={},
        description="Fault → share of requests: 429, 500, 503, reset, hang, html, truncated, "
        "empty, malformed, malformed:FORM.",
    )
    retry_after_s: float = Field(default=1.0, ge=0, description="What a 429 asks to wait.")

    def identity(self) -> dict[str, JsonValue]:
        """What determines an answer. Faults and latency do not: they only hinder it."""
        own: dict[str, JsonValue] = {
            "seed": self.seed,
            "refusals": self.refusals,
            "quality": self.quality,
            "spread": self.spread,
        }
        return super().identity() | own

"""What a recipe may say of a model that vLLM runs."""

import math
from typing import Any, Final, Self, cast

from pydantic import ConfigDict, Field, JsonValue, model_validator

from prefmill.engines.vllm.arguments import engine_arguments
from prefmill.plugins.engine import EngineOptions
from prefmill.plugins.registry import nearest

_OURS: Final = frozenset({"gpus", "timeout_s", "lora", "lora_name", "chat_template"}) | {
    "chat_template_kwargs",
    "structured",
    "regex",
    "choice",
}
"""Not fields of AsyncEngineArgs."""

_KEY: Final = "hf_token"

_HOW: Final = frozenset(
    {
        "gpus",
        "timeout_s",
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "data_parallel_size",
        "distributed_executor_backend",
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "max_model_len",
        "max_num_seqs",
        "max_num_batched_tokens",
        "enable_prefix_caching",
        "enable_chunked_prefill",
        "enforce_eager",
        "disable_log_stats",
        "download_dir",
        "trust_remote_code",
        "cpu_offload_gb",
        "block_size",
        "renderer_num_workers",
        "max_loras",
        "max_lora_rank",
        "enable_lora",
        "lora_name",
        "scheduling_policy",
        "seed",
    }
)
"""They say how and where the model runs, not what it answers."""


class VllmOptions(EngineOptions):
    """Options of the engine `vllm`. Besides those named here every field of vLLM's
    AsyncEngineArgs may be given, by its own name."""

    model_config = ConfigDict(extra="allow")

    gpus: int = Field(default=1, ge=1, description="Devices; the parallel sizes multiplied.")
    tensor_parallel_size: int = Field(default=1, ge=1, description="Devices per layer.")
    pipeline_parallel_size: int = Field(default=1, ge=1, description="Groups of layers.")
    dtype: str = Field(default="auto", description="auto, bfloat16, float16, float32.")
    quantization: str | None = Field(default=None, description="As vLLM names it: awq, fp8, …")
    max_model_len: int | None = Field(
        default=None, ge=1, description="Tokens of prompt and answer together; the model's own."
    )
    gpu_memory_utilization: float | None = Field(
        default=None, gt=0, le=1, description="Share of the device's memory; vLLM's own if none."
    )
    max_num_seqs: int | None = Field(
        default=None, ge=1, description="Requests that run at once; vLLM's own if none."
    )
    trust_remote_code: bool = Field(default=False, description="Run code from the model's folder.")
    enable_lora: bool = Field(default=False, description="Implied by `lora`.")
    lora: str | None = Field(default=None, description="Folder or Hub id of a LoRA adapter.")
    lora_name: str | None = Field(default=None, description="What the adapter is called.")
    chat_template: str | None = Field(
        default=None, description="Jinja in place of the model's own template, or a file of it."
    )
    chat_template_kwargs: dict[str, JsonValue] = Field(
        default={}, description="Variables of the template, such as enable_thinking."
    )
    structured: bool = Field(
        default=True, description="Hold answers to a rubric's JSON Schema while they are written."
    )
    regex: str | None = Field(default=None, description="Hold all answers to this expression.")
    choice: tuple[str, ...] = Field(default=(), description="Hold all answers to one of these.")

    @model_validator(mode="before")
    @classmethod
    def _enough_devices(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        given = cast("dict[str, Any]", values)
        if given.get("gpus") is not None:
            return given
        sizes = (given.get(f"{kind}_parallel_size", 1) for kind in ("tensor", "pipeline", "data"))
        whole = [size for size in sizes if isinstance(size, int) and size > 0]
        return {**given, "gpus": math.prod(whole)}

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = engine_arguments()
        for name in self.further:
            if name == _KEY:
                raise ValueError(f"{name}: a key would be stored with the recipe; set HF_TOKEN")
            if known and name not in known:
                raise ValueError(f"{name}: unknown key{nearest(name, known | _OURS)}")
        if self.regex is not None and self.choice:
            raise ValueError("regex and choice: give one of them")
        return self

    @property
    def further(self) -> dict[str, JsonValue]:
        """The fields of AsyncEngineArgs that are not named here."""
        return cast("dict[str, JsonValue]", self.model_extra or {})

    def engine_arguments(self) -> dict[str, Any]:
        """What AsyncEngineArgs is given; what was not said is left to vLLM."""
        said = self.model_dump(exclude=set(_OURS), exclude_none=True)
        return {**said, "enable_lora": self.enable_lora or self.lora is not None}

    def identity(self) -> dict[str, JsonValue]:
        """Model, revision, and what else was said that determines an answer."""
        said = self.model_dump(mode="json", exclude=set(_HOW), exclude_defaults=True)
        return {**said, **super().identity()}

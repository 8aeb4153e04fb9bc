"""An engine that cannot start where there is no GPU, and says so as vLLM does."""

from typing import ClassVar

from prefmill.engines.vllm.causes import cause_of
from prefmill.plugins.engine import ChatRequest, Completion, EngineOptions
from prefmill.plugins.errors import Unusable


class NoDeviceEngine:
    Options: ClassVar[type[EngineOptions]] = EngineOptions
    paid = False

    def __init__(self, options: EngineOptions) -> None:
        self._model = options.model

    def missing(self) -> str | None:
        return None

    async def start(self) -> None:
        error = RuntimeError("No CUDA GPUs are available")
        raise Unusable(f"vLLM cannot start {self._model}: {cause_of(error)}")

    async def complete(self, request: ChatRequest) -> Completion:
        raise AssertionError("it has not started")

    async def stop(self) -> None:
        """Nothing was started."""

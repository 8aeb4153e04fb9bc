"""vLLM's own modules: imported when a model is started, and without types to check."""

import importlib
from typing import Any


def library(module: str) -> Any:
    """The module `vllm.MODULE`."""
    return importlib.import_module(f"vllm.{module}")

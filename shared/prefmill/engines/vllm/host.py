"""Starts vLLM's AsyncLLM, or says in one line why it cannot."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from prefmill.engines.vllm.causes import cause_of, error_log
from prefmill.engines.vllm.folder import adapter_problem, folder_of, model_problem, rank_of
from prefmill.engines.vllm.library import library
from prefmill.engines.vllm.options import VllmOptions
from prefmill.engines.vllm.pace import Pace
from prefmill.engines.vllm.stats import StepLogger
from prefmill.plugins.errors import Unusable

_RANKS: Final = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as `max_lora_rank`."""


class ErrorTail:
    """What vLLM's processes have said of errors since this was made."""

    def __init__(self) -> None:
        self._log = error_log()
        self._start = self._log.stat().st_size if self._log else 0

    def text(self) -> str:
        """All of it."""
        if self._log is None or not self._log.exists():
            return ""
        with self._log.open("rb") as file:
            file.seek(self._start)
            return file.read().decode(errors="replace")


def folder_problem(options: VllmOptions) -> str:
    """What model's and adapter's folders lack; empty if nothing is seen."""
    folder = folder_of(options.model)
    weights = options.further.get("load_format", "auto") in ("auto", "safetensors", "pt")
    problem = "" if folder is None else model_problem(folder, weights=weights)
    if problem or options.lora is None:
        return problem
    adapter = folder_of(options.lora)
    return "" if adapter is None else adapter_problem(adapter)


def on_cpu() -> bool:
    """Whether this build of vLLM computes on the CPU."""
    return bool(library("platforms").current_platform.is_cpu())


async def started(options: VllmOptions, pace: Callable[[int], Pace], tail: ErrorTail) -> Any:
    """The running AsyncLLM. The event loop goes on while the model loads. Unusable with the cause
    if it cannot be started."""
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    try:
        return await asyncio.to_thread(_start, options, pace)
    except Exception as error:
        raise Unusable(f"vLLM cannot start {options.model}: {cause_of(error, tail.text())}") from (
            error
        )


async def adapter(engine: Any, options: VllmOptions, tail: ErrorTail) -> Any:
    """The LoRA adapter, loaded; None if there is to be none. Unusable if it does not fit."""
    if options.lora is None:
        return None
    folder = folder_of(options.lora)
    path = str(folder) if folder else options.lora
    named = options.lora_name or Path(options.lora).name
    request = library("lora.request").LoRARequest(named, 1, path)
    try:
        await engine.add_lora(request)
    except Exception as error:
        cause = cause_of(error, tail.text())
        raise Unusable(
            f"the LoRA adapter {options.lora} does not fit {options.model}: {cause}"
        ) from error
    return request


def _start(options: VllmOptions, pace: Callable[[int], Pace]) -> Any:
    arguments = library("engine.arg_utils").AsyncEngineArgs(**_arguments(options))
    config = arguments.create_engine_config()
    told = StepLogger(pace(config.scheduler_config.max_num_seqs))
    engine = library("v1.engine.async_llm").AsyncLLM.from_vllm_config(
        config, stat_loggers=[told.of_engine], disable_log_stats=False
    )
    library("envs").enable_envs_cache()  # it looks at its variables several times a token
    return engine


def _arguments(options: VllmOptions) -> dict[str, Any]:
    """On a CPU prompts are read whole: vLLM's engine dies there of a part of a prompt whose request
    has a seed ("CPU Generator does not use offset")."""
    arguments = options.engine_arguments()
    folder = folder_of(options.model)
    if folder is not None:
        arguments["model"] = str(folder)
    if on_cpu():
        arguments.setdefault("enable_chunked_prefill", False)
    adapter_folder = folder_of(options.lora) if options.lora else None
    rank = rank_of(adapter_folder) if adapter_folder else None
    if rank is not None:
        fitting = next((known for known in _RANKS if known >= rank), rank)
        arguments.setdefault("max_lora_rank", fitting)
    return arguments

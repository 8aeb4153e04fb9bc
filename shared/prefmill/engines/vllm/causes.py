"""Why vLLM failed, in one line. Its engine core and its workers are processes of their own: what
they raise stands in their logs only, and this process hears `initialization failed`."""

import atexit
import json
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

from prefmill.engines.text import one_line

_CONFIG: Final = "VLLM_LOGGING_CONFIG_PATH"
_RAISED: Final = re.compile(
    r"^(?:[A-Za-z_][\w.]*\.)?([A-Z]\w*(?:Error|Exception|Refused|NotFound))(?:: (.*))?$",
    re.MULTILINE,
)
_HOLLOW: Final = re.compile(
    r"initialization failed|failed to start|see root cause|see stack trace|unknown exception|"
    r"EngineDeadError|cancelled",
    re.IGNORECASE,
)
_MEMORY: Final = re.compile(
    r"out of memory|not enough memory|no available memory|can't allocate memory|"
    r"free memory on device|insufficient memory|larger than the available kv cache memory|"
    r"less than (?:requested|desired)|DefaultCPUAllocator|cannot allocate|exceeds available",
    re.IGNORECASE,
)
_DEVICE: Final = re.compile(
    r"no CUDA GPUs are available|failed to infer device type|found no NVIDIA driver|"
    r"no CUDA-capable device|driver version is insufficient|invalid device ordinal",
    re.IGNORECASE,
)
_KILLED: Final = "a process of it has ended without a word, as one that ran out of memory does"
_VALUE_ERROR: Final = re.compile(r"Value error, (.*?)(?: \[type=|$)", re.DOTALL)
_PYDANTIC_TAIL: Final = re.compile(r" \[type=.*", re.DOTALL)

MEMORY_ADVICE: Final = (
    "lower max_model_len, max_num_seqs or what else takes memory, raise gpu_memory_utilization "
    "(on a CPU: VLLM_CPU_KVCACHE_SPACE), or give it more devices"
)

DEVICE_ADVICE: Final = (
    "no GPU is visible to this worker, or fewer than it wants: see what nvidia-smi says there; a "
    "pod wants `nvidia.com/gpu` on a node that has the driver"
)


@cache
def error_log() -> Path | None:
    """The file into which vLLM's processes write what they raise, besides the usual log. To be
    asked for before vLLM is imported; None if the user has configured its logging."""
    if _CONFIG in os.environ:
        return None
    folder = Path(tempfile.mkdtemp(prefix="prefmill-vllm-"))
    log, config = folder / "errors.log", folder / "logging.json"
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    log.touch()
    config.write_text(json.dumps(_logging(log)))
    os.environ[_CONFIG] = str(config)
    return log


def cause_of(error: BaseException, said: str = "") -> str:
    """One line on a failure: what the processes below have said, or else the error itself."""
    found = first_raised(said) or _own(error)
    if _HOLLOW.search(found):
        found = f"{_KILLED} ({found})"
    line = one_line(found)
    if _MEMORY.search(found):
        return f"{line}; {MEMORY_ADVICE}"
    return f"{line}; {DEVICE_ADVICE}" if _DEVICE.search(found) else line


def first_raised(said: str) -> str:
    """The first error of a log that says something; empty if none does."""
    for match in _RAISED.finditer(said):
        name, text = match[1], match[2] or ""
        if text and not _HOLLOW.search(f"{name}: {text}"):
            rest = said[match.end() :].split("\nTraceback", 1)[0]
            return _own_words(name, text + _validation(text, rest))
    return ""


def _validation(text: str, rest: str) -> str:
    """Pydantic's sentence stands in the lines below its heading."""
    return rest if "validation error" in text else ""


def _own(error: BaseException) -> str:
    return _own_words(type(error).__name__, str(error))


def _own_words(name: str, text: str) -> str:
    if match := _VALUE_ERROR.search(text):
        return match[1]
    text = _PYDANTIC_TAIL.sub("", text)
    return text if name in ("ValueError", "RuntimeError", "OSError") and text else f"{name}: {text}"


def _logging(log: Path) -> dict[str, Any]:
    """vLLM's usual handler, and one for errors into the file."""
    console: dict[str, Any] = {
        "class": "logging.StreamHandler",
        "formatter": "vllm",
        "level": os.environ.get("VLLM_LOGGING_LEVEL", "INFO"),
        "stream": "ext://sys.stdout",
    }
    file: dict[str, Any] = {
        "class": "logging.FileHandler",
        "formatter": "bare",
        "level": "ERROR",
        "filename": str(log),
        "delay": True,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "vllm": {"format": "%(levelname)s %(asctime)s [%(fileinfo)s:%(lineno)d] %(message)s"}
            | {"class": "vllm.logging_utils.NewLineFormatter", "datefmt": "%m-%d %H:%M:%S"},
            "bare": {"format": "%(message)s"},
        },
        "handlers": {"vllm": console, "errors": file},
        "loggers": {"vllm": {"handlers": ["vllm", "errors"], "level": "DEBUG", "propagate": False}},
    }

"""The devices of this machine that models can run on: GPUs, or parts of the CPU."""

import ctypes
import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

GPUS: Final = "PREFMILL_GPUS"
"""How many GPUs there are, or their ids with commas; else those of CUDA_VISIBLE_DEVICES, or all."""

CPU_MODELS: Final = "PREFMILL_CPU_MODELS"
"""How many models run at once on the CPU; as many as it has cores if it is not set."""

_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_BIND: Final = "VLLM_CPU_OMP_THREADS_BIND"


@dataclass(frozen=True)
class Devices:
    """What models can be put on; none of it if `ids` is empty."""

    kind: Literal["GPU", "CPU"]
    ids: tuple[str, ...]

    def problem(self, gpus: int) -> str:
        """Why a model that wants so many cannot run here, and what to do; empty if it can."""
        if not self.ids:
            return (
                "it needs a GPU, and this machine shows none; run it where there is one, or "
                f"install vLLM's build for CPUs (make vllm); {GPUS} overrides what is found"
            )
        if self.kind == "GPU" and gpus > len(self.ids):
            have = f"{len(self.ids)} GPU{'s' if len(self.ids) > 1 else ''}"
            return f"it wants {gpus} GPUs, this machine has {have}; lower `gpus`, or see {GPUS}"
        return ""

    def wanted(self, gpus: int) -> int:
        """How many of these a model takes that wants so many GPUs."""
        return gpus if self.kind == "GPU" else 1

    def environment(self, own: tuple[str, ...]) -> dict[str, str]:
        """What tells a process which devices are its own. On a CPU that is a share of the cores,
        unless the user binds threads otherwise."""
        if self.kind == "GPU":
            return {_VISIBLE: ",".join(own)}
        return {} if _BIND in os.environ else {_BIND: _cores(self.ids.index(own[0]), len(self.ids))}


def find_devices(environ: Mapping[str, str] = os.environ) -> Devices:
    """The GPUs, or without any the shares of the CPU if vLLM's build for CPUs is installed."""
    ids = _named(environ)
    if ids is None:
        ids = tuple(map(str, range(_count_gpus())))
    if ids or not _has_cpu_build():
        return Devices("GPU", ids)
    shares = int(environ.get(CPU_MODELS) or len(os.sched_getaffinity(0)))
    return Devices("CPU", tuple(map(str, range(max(1, shares)))))


def _named(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """The ids that the environment names; None if it says nothing."""
    said = environ.get(GPUS)
    if said is not None and said.strip().isdecimal():
        return tuple(map(str, range(int(said))))
    said = environ.get(_VISIBLE) if said is None else said
    if said is None:
        return None
    ids = tuple(part.strip() for part in said.split(",") if part.strip())
    return () if "-1" in ids else ids


def _count_gpus() -> int:
    """As the NVIDIA driver counts; torch would take seconds, and memory on each of them."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return 0
    count = ctypes.c_uint(0)
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return 0
    nvml.nvmlShutdown()
    return count.value


def _has_cpu_build() -> bool:
    """Whether the vLLM that is installed runs on CPUs."""
    for name in ("vllm-cpu", "vllm"):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name == "vllm-cpu" or "cpu" in version.partition("+")[2]
    return False


def _cores(share: int, shares: int) -> str:
    """The cores of one share of several; shares overlap only if there are more than cores."""
    cores = sorted(os.sched_getaffinity(0))
    own = (
        cores[share % len(cores) :: shares] if shares <= len(cores) else [cores[share % len(cores)]]
    )
    return ",".join(map(str, own))

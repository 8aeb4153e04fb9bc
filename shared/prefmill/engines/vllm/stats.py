"""What vLLM tells of itself: each step to a Pace, its metrics to the worker's own page."""

from collections.abc import Iterator
from typing import Any

from prefmill.engines.vllm.pace import Pace


class StepLogger:
    """A stat logger as AsyncLLM takes them."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def of_engine(self, _config: Any, _index: int = 0) -> "StepLogger":
        """This one, for any engine: what AsyncLLM takes for a factory."""
        return self

    def record(
        self,
        scheduler_stats: Any,
        iteration_stats: Any,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        """A step has ended."""
        if scheduler_stats is None:
            return
        waiting = scheduler_stats.num_waiting_reqs + scheduler_stats.num_skipped_waiting_reqs
        finished = len(iteration_stats.finished_requests) if iteration_stats else 0
        self._pace.step(scheduler_stats.num_running_reqs, waiting, finished)

    def log_engine_initialized(self) -> None:
        """Nothing: the worker tells it."""

    def log(self) -> None:
        """Nothing: the worker tells it."""

    def record_sleep_state(self, is_awake: int, level: int) -> None:
        """Nothing: it never sleeps."""


class VllmMetrics:
    """A collector of vLLM's metrics alone: they stand in the process's default registry, among
    those of the process itself, which the worker exports already."""

    def collect(self) -> Iterator[Any]:
        """The families whose names begin with `vllm:`."""
        from prometheus_client import REGISTRY

        for family in REGISTRY.collect():
            if family.name.startswith("vllm:"):
                yield family

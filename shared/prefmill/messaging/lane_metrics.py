"""What a worker exports about its lanes, read when it is scraped: nothing on the hot path."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prefmill.contracts.workers import LaneServed
from prefmill.messaging.families import Histogram, counter, gauge, histogram
from prefmill.messaging.lane import Lane
from prefmill.messaging.worker import Worker


class LaneMetrics:
    """A collector for Prometheus' registry."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Any]:
        """Metric families of all lanes."""
        lanes = self._worker.lanes
        for name, said, count in _COUNTERS:
            yield counter(name, said, ["lane"], [([x.spec.slug], count(x)) for x in lanes])
        for name, said, counted in _BY_REASON:
            yield counter(name, said, ["lane", "reason"], _rows(lanes, counted))
        for name, said, times in _HISTOGRAMS:
            yield histogram(name, said, ["lane"], [([x.spec.slug], times(x)) for x in lanes])
        for name, said, value in _GAUGES:
            rows = [([lane.spec.slug], value(lane.served(), lane)) for lane in lanes]
            yield gauge(f"prefmill_lane_{name}", f"Lane: {said}", ["lane"], rows)
        yield from _exported(lanes)


_COUNTERS: Final[tuple[tuple[str, str, Callable[[Lane], float]], ...]] = (
    ("prefmill_cells", "Cells answered.", lambda lane: lane.counts.cells),
    (
        "prefmill_batches",
        "Batches answered, whole or in part.",
        lambda lane: lane.counts.batches,
    ),
    ("prefmill_input_tokens", "Tokens read.", lambda lane: lane.counts.input_tokens),
    ("prefmill_output_tokens", "Tokens written.", lambda lane: lane.counts.output_tokens),
)

_BY_REASON: Final[tuple[tuple[str, str, Callable[[Lane], Mapping[str, int]]], ...]] = (
    ("prefmill_failures", "Cells that failed.", lambda lane: lane.counts.failures),
    (
        "prefmill_retries",
        "Calls that were waited for and made again: no attempts.",
        lambda lane: lane.engine.retries,
    ),
)

_HISTOGRAMS: Final[tuple[tuple[str, str, Callable[[Lane], Histogram]], ...]] = (
    (
        "prefmill_call_seconds",
        "From a call to its whole answer.",
        lambda lane: lane.counts.calls,
    ),
    (
        "prefmill_batch_seconds",
        "From taking a batch to its last answer.",
        lambda lane: lane.counts.batch,
    ),
    (
        "prefmill_batch_wait_seconds",
        "From the publishing of a batch until it was taken.",
        lambda lane: lane.counts.waits,
    ),
)

_GAUGES: Final[tuple[tuple[str, str, Callable[[LaneServed, Lane], float]], ...]] = (
    ("slots", "Calls it wants in flight.", lambda served, _: served.slots),
    ("busy", "Calls in flight.", lambda served, _: served.busy),
    ("ready", "1 while it takes batches.", lambda served, _: served.health == "ready"),
    ("held_batches", "Batches in hand.", lambda _, lane: lane.loop.held),
    (
        "load_seconds",
        "From start to the first answer, or until now.",
        lambda _, lane: lane.engine.loading.seconds,
    ),
)


def _rows(
    lanes: Iterable[Lane], counted: Callable[[Lane], Mapping[str, int]]
) -> list[tuple[list[str], float]]:
    return [
        ([lane.spec.slug, reason], count)
        for lane in lanes
        for reason, count in counted(lane).items()
    ]


def _exported(lanes: Iterable[Lane]) -> Iterator[Any]:
    """What engines export themselves, in their own words. Lanes may share a registry."""
    registries = {id(found): found for lane in lanes if (found := lane.engine.metrics)}
    for registry in registries.values():
        yield from registry.collect()

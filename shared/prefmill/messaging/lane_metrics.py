"""What a worker exports about its lanes, read when it is scraped: nothing on the hot path."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from prefmill.contracts.workers import LaneServed
from prefmill.messaging.lane import Lane
from prefmill.messaging.worker import Worker


class LaneMetrics:
    """A collector for Prometheus' registry."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Any]:
        """Metric families of all lanes."""
        lanes = self._worker.lanes
        yield from (_counter(lanes, *counter) for counter in _COUNTERS)
        yield _failures(lanes)
        yield _latencies(lanes)
        yield from (_gauge(lanes, *gauge) for gauge in _GAUGES)
        yield from _exported(lanes)


_COUNTERS: Final[tuple[tuple[str, str, Callable[[Lane], float]], ...]] = (
    ("cells", "Cells answered.", lambda lane: lane.counts.cells),
    ("batches", "Batches answered, whole or in part.", lambda lane: lane.counts.batches),
    ("input_tokens", "Tokens read.", lambda lane: lane.counts.input_tokens),
    ("output_tokens", "Tokens written.", lambda lane: lane.counts.output_tokens),
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


def _counter(lanes: Iterable[Lane], name: str, said: str, value: Callable[[Lane], float]) -> Any:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"prefmill_{name}", said, labels=["lane"])
    for lane in lanes:
        family.add_metric([lane.spec.slug], value(lane))
    return family


def _gauge(
    lanes: Iterable[Lane], name: str, said: str, value: Callable[[LaneServed, Lane], float]
) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"prefmill_lane_{name}", f"Lane: {said}", labels=["lane"])
    for lane in lanes:
        family.add_metric([lane.spec.slug], float(value(lane.served(), lane)))
    return family


def _failures(lanes: Iterable[Lane]) -> Any:
    from prometheus_client.core import CounterMetricFamily

    labels = ["lane", "reason"]
    family = CounterMetricFamily(
        "prefmill_failures", "Cells that failed, by reason.", labels=labels
    )
    for lane in lanes:
        for reason, count in lane.counts.failures.items():
            family.add_metric([lane.spec.slug, reason], count)
    return family


def _latencies(lanes: Iterable[Lane]) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    said = "From a call to its whole answer."
    family = HistogramMetricFamily("prefmill_call_seconds", said, labels=["lane"])
    for lane in lanes:
        family.add_metric([lane.spec.slug], lane.counts.latencies(), lane.counts.seconds)
    return family


def _exported(lanes: Iterable[Lane]) -> Iterator[Any]:
    """What engines export themselves, in their own words. Lanes may share a registry."""
    registries = {id(found): found for lane in lanes if (found := lane.engine.metrics)}
    for registry in registries.values():
        yield from registry.collect()

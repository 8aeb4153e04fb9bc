"""Metric families for Prometheus, made when somebody scrapes: collectors keep plain numbers.

`rows` are pairs of label values and a number, or for histograms a `Histogram`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any, Final

LATENCIES_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of a histogram's buckets for calls and batches."""

SHORT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The same for transactions."""

Rows = Iterable[tuple[Sequence[str], float]]


class Histogram:
    """Seconds, counted by upper bounds."""

    __slots__ = ("_bounds", "_buckets", "seconds")

    def __init__(self, bounds: Sequence[float] = LATENCIES_S) -> None:
        self._bounds = bounds
        self._buckets = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """One more; what a clock that was set back makes negative counts as 0."""
        self.seconds += max(0.0, seconds)
        self._buckets[bisect_left(self._bounds, seconds)] += 1

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus has it: upper bound → how many no longer."""
        total, found = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._buckets, strict=True):
            total += count
            found.append((bound, total))
        return found


def counter(name: str, said: str, labels: Sequence[str], rows: Rows) -> Any:
    """What only grows; `_total` is added to its name."""
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily(name, said, labels=labels), rows)


def gauge(name: str, said: str, labels: Sequence[str], rows: Rows) -> Any:
    """What comes and goes."""
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily(name, said, labels=labels), rows)


def histogram(
    name: str, said: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], Histogram]]
) -> Any:
    """Seconds by upper bounds, with their sum."""
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, said, labels=labels)
    for values, found in rows:
        family.add_metric(values, found.cumulative(), found.seconds)
    return family


def _filled(family: Any, rows: Rows) -> Any:
    for values, number in rows:
        family.add_metric(values, float(number))
    return family

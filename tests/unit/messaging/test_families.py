"""Histograms and families for Prometheus."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from prefmill.messaging.families import LATENCIES_S, Histogram, counter, gauge, histogram


class Collected:
    def __init__(self, *families: object) -> None:
        self._families = families

    def collect(self) -> tuple[object, ...]:
        return self._families


def shown(*families: object) -> list[str]:
    registry = CollectorRegistry()
    registry.register(Collected(*families))  # type: ignore[arg-type]
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


@given(st.lists(st.floats(min_value=0, max_value=2000)))
def test_every_bucket_counts_what_is_no_longer_than_its_bound(seconds: list[float]) -> None:
    found = Histogram()
    for each in seconds:
        found.add(each)
    buckets = dict(found.cumulative())
    for bound in LATENCIES_S:
        assert buckets[str(bound)] == sum(each <= bound for each in seconds)
    assert buckets["+Inf"] == len(seconds)


def test_a_clock_that_was_set_back_takes_nothing_from_the_sum() -> None:
    found = Histogram()
    found.add(2.0)
    found.add(-5.0)
    assert found.seconds == 2.0
    assert found.cumulative()[0] == ("0.05", 1)


def test_families_show_labels_and_numbers() -> None:
    times = Histogram((1.0,))
    times.add(0.5)
    assert shown(
        counter("calls", "Calls.", ["lane"], [(["a"], 3)]),
        gauge("ready", "Ready.", [], [([], True)]),
        histogram("seconds", "Seconds.", ["lane"], [(["a"], times)]),
    ) == [
        'calls_total{lane="a"} 3.0',
        "ready 1.0",
        'seconds_bucket{lane="a",le="1.0"} 1.0',
        'seconds_bucket{lane="a",le="+Inf"} 1.0',
        'seconds_count{lane="a"} 1.0',
        'seconds_sum{lane="a"} 0.5',
    ]

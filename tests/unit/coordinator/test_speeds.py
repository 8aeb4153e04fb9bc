"""How fast a lane answers, and how many rows its batches hold for it."""

import pytest
from tests.unit.coordinator.test_windows import plan_of_two_models

from prefmill.contracts.workers import LaneServed, WorkerAnnounced
from prefmill.coordinator.fleet import Fleet
from prefmill.coordinator.speeds import SPAN_S, Speeds
from prefmill.coordinator.windows import MOST_ROWS, Windows


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _speeds(rows_per_s: float) -> Speeds:
    """Of lane `a`, measured over a second."""
    clock = _Clock()
    speeds = Speeds(clock)
    speeds.note("a", 0)
    clock.now = 1.0
    speeds.note("a", round(rows_per_s))
    return speeds


def _fleet(workers: int) -> Fleet:
    fleet = Fleet()
    for number in range(workers):
        lane = LaneServed(slug="a", kind="generate", digest="d", slots=64, busy=0, health="ready")
        worker = WorkerAnnounced(
            worker=f"w{number}", service="generator", version="0", lanes=(lane,)
        )
        fleet.note(worker)
    return fleet


def _batch(rows_per_s: float, *, workers: int = 1, floor: int = 1024) -> int:
    windows = Windows({}, _fleet(workers), floor, speeds=_speeds(rows_per_s))
    return windows.batch(plan_of_two_models(), "a")


def test_a_speed_is_taken_over_a_span_and_then_anew() -> None:
    clock = _Clock()
    speeds = Speeds(clock)
    speeds.note("a", 10)
    clock.now = SPAN_S / 2
    speeds.note("a", 10)
    assert speeds.rows_per_s("a") == 0
    clock.now = SPAN_S
    speeds.note("a", 10)
    assert speeds.rows_per_s("a") == 30 / SPAN_S
    clock.now = SPAN_S + 60
    speeds.note("a", 6)
    assert speeds.rows_per_s("a") == pytest.approx(0.1)
    assert speeds.rows_per_s("b") == 0


@pytest.mark.parametrize(("rows_per_s", "rows"), [(0, 32), (200, 32), (512, 64), (5000, 160)])
def test_a_batch_holds_an_eighth_of_a_second_of_work_within_bounds(
    rows_per_s: float, rows: int
) -> None:
    assert _batch(rows_per_s) == rows


def test_many_slow_workers_do_not_make_large_batches() -> None:
    assert _batch(5000, workers=20) == 32


def test_a_window_has_room_for_four_batches() -> None:
    assert _batch(5000, floor=256) == 64
    assert _batch(5000, floor=16) == 32
    assert MOST_ROWS * 4 <= 1024

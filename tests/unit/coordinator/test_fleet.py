"""What announcements, or the lack of them, say of a lane."""

from dataclasses import dataclass, field

import pytest

from prefmill.contracts.workers import LaneHealth, LaneServed, LaneSpec, WorkerAnnounced
from prefmill.coordinator.fleet import FORGOTTEN_AFTER_S, LOST_AFTER, Fleet


@dataclass
class Workers:
    """Workers of one lane, at a time that only passes when told to."""

    now: float = 0.0
    fleet: Fleet = field(init=False)

    def __post_init__(self) -> None:
        self.fleet = Fleet(lambda: self.now)

    def says(
        self, name: str, health: LaneHealth, detail: str = "", *, stopping: bool = False
    ) -> None:
        lane = LaneServed(
            slug="llama", kind="generate", digest="d", slots=1, health=health, detail=detail
        )
        self.fleet.note(
            WorkerAnnounced(
                worker=name, service="generator", version="1", stopping=stopping, lanes=(lane,)
            )
        )

    def fall_silent(self) -> None:
        self.now += FORGOTTEN_AFTER_S + 1

    @property
    def trouble(self) -> str:
        return self.fleet.trouble("llama", "d")


@pytest.fixture
def workers() -> Workers:
    return Workers()


def test_a_lane_is_in_trouble_when_all_its_workers_say_so(workers: Workers) -> None:
    workers.says("a", "unusable", "out of memory")
    assert workers.trouble == "out of memory"
    workers.says("b", "probing")
    assert not workers.trouble, "this one may do better"
    workers.says("b", "unusable")
    assert workers.trouble
    workers.says("b", "ready")
    assert not workers.trouble


def test_a_lane_whose_workers_are_killed_while_they_load_again_and_again_is_lost(
    workers: Workers,
) -> None:
    for number in range(LOST_AFTER):
        assert not workers.trouble
        workers.says(f"w{number}", "probing")
        workers.fall_silent()
    assert f"{LOST_AFTER} workers" in workers.trouble
    assert "while they loaded" in workers.trouble
    workers.says("next", "probing")
    assert workers.trouble, "it has yet to show that it is better"
    workers.says("next", "ready")
    assert not workers.trouble
    workers.fall_silent()
    assert not workers.trouble, "what was before it was ready counts no more"


def test_workers_that_end_in_good_order_or_were_ready_do_not_count_as_lost(
    workers: Workers,
) -> None:
    for number in range(2 * LOST_AFTER):
        workers.says(f"ended-{number}", "probing")
        workers.says(f"ended-{number}", "probing", stopping=True)
        workers.says(f"was-ready-{number}", "ready")
        workers.fall_silent()
        assert not workers.trouble


def test_workers_that_come_back_after_a_silence_were_not_lost(workers: Workers) -> None:
    names = [f"w{number}" for number in range(LOST_AFTER)]
    for name in names:
        workers.says(name, "probing")
    workers.fall_silent()
    assert workers.trouble
    workers.says(names[0], "probing")
    assert not workers.trouble


def test_a_lane_that_is_tried_again_begins_anew(workers: Workers) -> None:
    for number in range(LOST_AFTER):
        workers.says(f"w{number}", "probing")
    workers.fall_silent()
    assert workers.trouble
    workers.fleet.clear("llama")
    assert not workers.trouble


def test_a_lane_is_deserted_once_it_is_wanted_and_nobody_has_served_it_for_a_while(
    workers: Workers,
) -> None:
    llama = LaneSpec(kind="generate", slug="llama", digest="d", engine="simulated", options={})
    fleet = workers.fleet
    workers.now = 100.0
    assert not fleet.deserted("llama", "d"), "nobody wants it"
    assert fleet.want(llama)
    assert not fleet.want(llama), "it is known"
    assert not fleet.deserted("llama", "d"), "its first worker may still come"
    workers.now += fleet.grace_s
    assert fleet.deserted("llama", "d")
    workers.says("a", "probing")
    assert not fleet.deserted("llama", "d"), "somebody loads it"
    workers.says("a", "ready", stopping=True)
    assert not fleet.deserted("llama", "d"), "another one may come"
    workers.now += fleet.grace_s
    assert fleet.deserted("llama", "d")
    assert not fleet.deserted("llama", "e"), "another model under the same name"

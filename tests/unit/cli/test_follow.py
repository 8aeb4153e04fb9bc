"""A run is followed to its end, and its workers are let go when nothing is left to be called."""

from pathlib import Path
from typing import Any

import pytest

from prefmill.cli import follow
from prefmill.cli.stop import FAILED, Stop
from prefmill.contracts.api import RunStatus


class Coordinator:
    """Tells one status after the other."""

    def __init__(self, *statuses: RunStatus) -> None:
        self._statuses = list(statuses)

    def status(self, _run: int) -> RunStatus:
        return self._statuses.pop(0)


def run(state: str, export: str | None = None, reason: str = "") -> RunStatus:
    exports = [{"id": 1, "state": export}] if export else []
    known = {"id": 1, "name": "r", "state": state, "exports": exports, "reason": reason}
    return RunStatus.model_validate(known)


def test_workers_rest_while_the_dataset_is_written_and_work_if_the_run_goes_on() -> None:
    told: list[bool] = []
    later: Any = Coordinator(
        run("finished"), run("running"), run("finished", "writing"), run("finished", "written")
    )
    last = follow.follow(later, run("running"), rest=told.append)
    assert last.exports[0].state == "written"
    assert told == [False, True, False, True]


def test_a_run_that_failed_says_why_in_its_line_and_several_causes_in_one_each() -> None:
    with pytest.raises(Stop) as one:
        follow.conclude(run("failed", reason="models.a: no key"), strict=False)
    assert one.value.lines[0] == "r: failed: models.a: no key"
    with pytest.raises(Stop) as two:
        follow.conclude(run("failed", reason="models.a: no key\njudges.j: 404"), strict=False)
    assert two.value.lines[:3] == ("r: failed:", "  models.a: no key", "  judges.j: 404")
    assert two.value.code == FAILED


def made(records: int, folder: Path) -> RunStatus:
    sums = {"prompts": 3, "out": records, "ties": 0, "dropped": {}, "records": records}
    export = {"id": 1, "state": "written", "directory": str(folder), "outcome": {"raw": sums}}
    known = {"id": 1, "name": "r", "state": "finished", "exports": [export]}
    return RunStatus.model_validate(known)


def test_a_run_of_which_not_one_record_came_out_has_failed(tmp_path: Path) -> None:
    follow.conclude(made(3, tmp_path), strict=False)
    with pytest.raises(Stop) as stop:
        follow.conclude(made(0, tmp_path), strict=False)
    assert stop.value.code == FAILED


@pytest.mark.parametrize(
    ("wanted", "elapsed", "pause"),
    [(100_000, 1.0, 0.25), (100_000, 6.0, 0.6), (100_000, 900.0, 1.0), (51_000, 900.0, 0.25)],
)
def test_a_long_run_is_looked_at_less_often_until_its_end_is_near(
    wanted: int, elapsed: float, pause: float
) -> None:
    slot = {"alias": "a", "kind": "generate", "model": "m", "wanted": wanted, "done": 50_000}
    known = {"id": 1, "name": "r", "state": "running", "slots": [slot | {"failed": 0}]}
    assert follow.pause_s(RunStatus.model_validate(known), elapsed) == pytest.approx(pause)

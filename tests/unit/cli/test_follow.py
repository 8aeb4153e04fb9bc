"""A run is followed to its end, and its workers are let go when nothing is left to be called."""

from typing import Any

from prefmill.cli import follow
from prefmill.contracts.api import RunStatus


class Coordinator:
    """Tells one status after the other."""

    def __init__(self, *statuses: RunStatus) -> None:
        self._statuses = list(statuses)

    def status(self, _run: int) -> RunStatus:
        return self._statuses.pop(0)


def run(state: str, export: str | None = None) -> RunStatus:
    exports = [{"id": 1, "state": export}] if export else []
    known = {"id": 1, "name": "r", "state": state, "exports": exports}
    return RunStatus.model_validate(known)


def test_workers_rest_while_the_dataset_is_written_and_work_if_the_run_goes_on() -> None:
    told: list[bool] = []
    later: Any = Coordinator(
        run("finished"), run("running"), run("finished", "writing"), run("finished", "written")
    )
    last = follow.follow(later, run("running"), rest=told.append)
    assert last.exports[0].state == "written"
    assert told == [False, True, False, True]

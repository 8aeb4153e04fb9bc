"""What the coordinator's log says of runs: a line for each change of a run's state."""

import logging
from typing import Final

from prefmill.contracts.api import RunState
from prefmill.ledger.runs import Run

log: Final = logging.getLogger("prefmill.coordinator")


def told(run: Run, state: RunState, reason: str = "") -> None:
    """The run is now in that state, and why, if that is not as a matter of course: in one line,
    however many that reason has."""
    level = logging.WARNING if state == "failed" else logging.INFO
    why = f": {'; '.join(reason.splitlines())}" if reason else ""
    log.log(level, "run %s: %s%s", run.name, state, why, extra={"run": run.id})

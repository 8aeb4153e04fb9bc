"""The plans of runs, each made once: of all that go on, and of the last ones that were shown."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from prefmill.coordinator.domain.plan import Plan
from prefmill.coordinator.domain.resolved import Placed
from prefmill.coordinator.submission import plan_of
from prefmill.ledger.database import Ledger
from prefmill.ledger.runs import Run
from prefmill.messaging.traces import NOWHERE, Headers

MOST_ENDED: Final = 32
"""Plans of runs that do not go on, kept for whoever looks at them again."""


class Plans:
    """The plan of each run's current revision."""

    def __init__(self, ledger: Ledger, placed: Placed) -> None:
        self._ledger = ledger
        self._placed = placed
        self._made: dict[int, Plan] = {}
        self._traces: dict[int, Headers] = {}

    async def of(self, run: Run) -> Plan:
        """The plan of its current revision. RecipeError if it can no longer be made."""
        plan = self._made.get(run.id)
        if plan is None or plan.revision != run.revision:
            trace = self._traces.pop(run.id, NOWHERE)
            async with self._ledger.begin() as connection:
                plan = await plan_of(connection, run, self._placed)
            plan = self._made[run.id] = replace(plan, submitted=trace)
        return plan

    def known(self, runs: Collection[Run]) -> list[Plan]:
        """Those of these runs that are made."""
        return [self._made[run.id] for run in runs if run.id in self._made]

    def forget(self, run_id: int, trace: Headers = NOWHERE) -> None:
        """The run was submitted anew, in that trace: make its plan again."""
        self._made.pop(run_id, None)
        if trace:
            self._traces[run_id] = trace

    def keep(self, active: Collection[Run]) -> None:
        """Let go of all but these runs' and the newest others."""
        going_on = {run.id for run in active}
        ended = [run_id for run_id in self._made if run_id not in going_on]
        for run_id in ended[:-MOST_ENDED]:
            del self._made[run_id]

"""How much may be in flight on each lane, and each run's share of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from prefmill.coordinator.domain.batching import ROWS
from prefmill.coordinator.domain.plan import Plan
from prefmill.coordinator.fleet import Fleet
from prefmill.coordinator.speeds import Speeds
from prefmill.ledger.planning import PLANNED, PUBLISHED

BATCH_S: Final = 0.125
"""A batch holds what one worker answers in so long, if that is more than it holds at least."""

MOST_ROWS: Final = 160


@dataclass(frozen=True)
class Windows:
    """Rows planned and out, by run and lane, and what the live workers can take."""

    rows: dict[tuple[int, str, int], int]
    """(run, lane, state) → rows; grows as batches are planned."""
    fleet: Fleet
    floor: int
    """Least calls in flight."""
    paused: Mapping[str, str] = field(default_factory=dict[str, str])
    """Lanes not to be published to, and why."""
    speeds: Speeds = field(default_factory=Speeds)

    def note_planned(self, run_id: int, lane: str, rows: int) -> None:
        """A batch has just been planned."""
        key = (run_id, lane, PLANNED)
        self.rows[key] = self.rows.get(key, 0) + rows

    def size(self, plan: Plan, lane: str) -> int:
        """Rows that may be out on the lane, of all runs."""
        spec = plan.lanes[lane]
        calls = max(self.floor, 2 * self.fleet.slots(lane, spec.digest))
        return max(1, calls // plan.calls_by_lane[lane])

    def batch(self, plan: Plan, lane: str) -> int:
        """Most rows of a batch. What a batch costs beside its calls is a tenth of all the CPU
        where a worker answers a thousand rows a second; where it answers a hundred, larger ones
        would hold answers back, and a kill would lose more of them. A window has room for four."""
        workers = len(self.fleet.serving(lane, plan.lanes[lane].digest))
        answered = BATCH_S * self.speeds.rows_per_s(lane) / max(1, workers)
        return max(ROWS, min(round(answered), MOST_ROWS, self.size(plan, lane) // 4))

    def room(self, plan: Plan, lane: str) -> int:
        """Rows this run may publish on the lane now: what is free, and no more than its share
        among the runs that have work for it, so that a small run overtakes a large one."""
        size = self.size(plan, lane)
        runs = {run for (run, slug, _), rows in self.rows.items() if slug == lane and rows}
        out = sum(self.rows.get((run, lane, PUBLISHED), 0) for run in runs)
        mine = self.rows.get((plan.run_id, lane, PUBLISHED), 0)
        return min(size - out, size // max(1, len(runs | {plan.run_id})) - mine)

    def hungry(self, plan: Plan) -> bool:
        """Whether some lane that begins a row could soon run dry."""
        first = self._first(plan)
        return not first or any(
            self.backlog(plan.run_id, lane) < self.size(plan, lane) for lane in first
        )

    def fed(self, plan: Plan) -> bool:
        """Whether every lane that begins a row has at least half of its window planned or out, so
        that no worker runs dry before the next look."""
        first = self._first(plan)
        return bool(first) and all(
            2 * self.backlog(plan.run_id, lane) >= self.size(plan, lane) for lane in first
        )

    def gone(self, plan: Plan) -> dict[str, str]:
        """Lanes of the plan that nobody can serve, and why: paused, or in trouble."""
        trouble = {
            slug: self.paused.get(slug) or self.fleet.trouble(slug, spec.digest)
            for slug, spec in plan.lanes.items()
        }
        return {slug: why for slug, why in trouble.items() if why}

    def _first(self, plan: Plan) -> set[str]:
        """The lanes that begin a row, without those that are gone, unless all are."""
        first = {slot.lane for slot in plan.models} or {slot.lane for slot in plan.judges}
        return first - self.gone(plan).keys() or first

    def backlog(self, run_id: int, lane: str) -> int:
        """Rows of a run planned or out on a lane."""
        return sum(self.rows.get((run_id, lane, state), 0) for state in (PLANNED, PUBLISHED))

    def planned(self, run_id: int) -> set[str]:
        """Lanes on which a run has batches planned or out."""
        return {lane for (run, lane, _), rows in self.rows.items() if run == run_id and rows}

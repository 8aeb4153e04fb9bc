"""What metrics tell of runs and lanes, as values: nothing here reads anything."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prefmill.contracts.work import LaneKind
from prefmill.ledger.observed import Size
from prefmill.ledger.status import Tally
from prefmill.messaging.queues import Queue, Stored

OTHER: Final = "other"
"""Stands for all runs beyond the most that are shown by name."""

STATES: Final = ("closed", "planned", "published")
"""Of batches: closed ones (or rows just loaded) are still to be looked at."""


@dataclass(frozen=True)
class SlotSeen:
    """One model or judge of a run. Costs in US dollars; None where no price is known."""

    kind: str
    name: str
    model: str
    wanted: int
    tally: Tally
    cost: float | None = None
    planned_cost: float | None = None
    """Of all cells that are wanted, as the estimate has it."""

    @property
    def closed(self) -> int:
        """Cells that need nothing more."""
        return self.tally.done + self.tally.failed

    @property
    def planned_so_far(self) -> float | None:
        """What the cells closed so far were to cost; those that were reused, nothing."""
        if self.planned_cost is None:
            return None
        paid = max(0, self.closed - self.tally.reused)
        return self.planned_cost * paid / self.wanted if self.wanted else 0.0


@dataclass(frozen=True)
class RunSeen:
    """One run that is shown."""

    name: str
    state: str
    rows: int = 0
    unusable: int = 0
    batches: Mapping[str, int] = field(default_factory=dict[str, int])
    """One of STATES → batches."""
    batch_rows: Mapping[str, int] = field(default_factory=dict[str, int])
    cap: float | None = None
    slots: Sequence[SlotSeen] = ()


@dataclass(frozen=True)
class LaneSeen:
    """One lane of the runs that are shown, or of a deployed model."""

    slug: str
    kind: LaneKind
    planned: int
    published: int
    window: int | None
    """Rows; None where no run uses the lane."""
    workers: int
    ready: int
    slots: int
    paused: bool


@dataclass(frozen=True)
class LedgerSeen:
    """What the ledger tells."""

    states: Mapping[str, int]
    runs: Sequence[RunSeen]
    lanes: Sequence[LaneSeen]
    dead: Mapping[str, int]
    size: Size


@dataclass(frozen=True)
class BrokerSeen:
    """What NATS tells. Queues by slug of their lanes."""

    queues: Mapping[str, Queue]
    results: Queue | None
    streams: Mapping[str, Stored]


def summed(runs: Iterable[RunSeen]) -> RunSeen:
    """Many runs as one: its slots are one a kind, without what has no meaning in sum."""
    rows, unusable = 0, 0
    batches, batch_rows = Counter[str](), Counter[str]()
    slots: dict[str, SlotSeen] = {}
    for run in runs:
        rows, unusable = rows + run.rows, unusable + run.unusable
        batches.update(run.batches)
        batch_rows.update(run.batch_rows)
        for slot in run.slots:
            slots[slot.kind] = _added(slots.get(slot.kind), slot)
    return RunSeen(OTHER, OTHER, rows, unusable, batches, batch_rows, None, tuple(slots.values()))


def _added(known: SlotSeen | None, slot: SlotSeen) -> SlotSeen:
    known = known or SlotSeen(slot.kind, OTHER, OTHER, 0, Tally())
    names = Tally.__dataclass_fields__
    tally = {name: getattr(known.tally, name) + getattr(slot.tally, name) for name in names}
    return SlotSeen(
        slot.kind,
        OTHER,
        OTHER,
        known.wanted + slot.wanted,
        Tally(**tally),
        (known.cost or 0.0) + (slot.cost or 0.0),
        (known.planned_cost or 0.0) + (slot.planned_cost or 0.0),
    )

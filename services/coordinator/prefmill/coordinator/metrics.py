"""What the coordinator exports: runs, lanes, the ledger and the streams, as last seen.

Labels are bounded: runs by name while they go on (the newest 50, the others as `other`), lanes by
slug; never the id of a row or of a batch.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, get_args

from prefmill.contracts.api import RunState
from prefmill.coordinator.observed import (
    STATES,
    BrokerSeen,
    LaneSeen,
    LedgerSeen,
    RunSeen,
    SlotSeen,
)
from prefmill.coordinator.observer import Observer
from prefmill.messaging.families import counter, gauge

SLOT: Final = ("run", "kind", "name", "model")
LANE: Final = ("lane", "kind")


class RunMetrics:
    """A collector for Prometheus' registry."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def collect(self) -> Iterator[Any]:
        """All families; those of what was never seen are left out."""
        seen = self._observer
        yield gauge("prefmill_ledger_up", "1 if Postgres answers.", [], [([], seen.ledger_up)])
        yield gauge("prefmill_nats_up", "1 if JetStream answers.", [], [([], seen.broker_up)])
        said = "How long reading the ledger for these metrics took."
        yield gauge("prefmill_ledger_look_seconds", said, [], [([], seen.seconds)])
        if seen.ledger is not None:
            yield from _of_ledger(seen.ledger)
            yield from _of_runs(seen.ledger.runs)
            yield from _of_lanes(seen.ledger.lanes)
        if seen.broker is not None:
            kinds = {lane.slug: lane.kind for lane in seen.ledger.lanes} if seen.ledger else {}
            yield from _of_broker(seen.broker, kinds)


def _of_ledger(seen: LedgerSeen) -> Iterator[Any]:
    states = [([state], seen.states.get(state, 0)) for state in get_args(RunState)]
    yield gauge("prefmill_runs", "Runs by state.", ["state"], states)
    dead = [([kind], seen.dead.get(kind, 0)) for kind in ("generate", "judge", "results")]
    yield counter("prefmill_dead_letters", "Messages given up, by kind.", ["kind"], dead)
    size = seen.size
    yield gauge("prefmill_ledger_bytes", "Size of the database.", [], [([], size.bytes)])
    said = "Connections to the database, and how many Postgres allows."
    rows = [(["open"], size.connections), (["most"], size.most_connections)]
    yield gauge("prefmill_ledger_connections", said, ["state"], rows)


def _of_runs(runs: Sequence[RunSeen]) -> Iterator[Any]:
    said = "1 for the state that a run is in."
    yield gauge(
        "prefmill_run_state", said, ["run", "state"], [([r.name, r.state], 1) for r in runs]
    )
    rows = [
        ([run.name, state], count)
        for run in runs
        for state, count in (("loaded", run.rows), ("unusable", run.unusable))
    ]
    yield gauge("prefmill_run_rows", "Prompts loaded, and those of no use.", ["run", "state"], rows)
    batches = [([r.name, state], r.batches.get(state, 0)) for r in runs for state in STATES]
    yield gauge("prefmill_run_batches", "Batches by state.", ["run", "state"], batches)
    rows = [([r.name, state], r.batch_rows.get(state, 0)) for r in runs for state in STATES]
    yield gauge("prefmill_run_batch_rows", "Rows in batches by state.", ["run", "state"], rows)
    caps = [([run.name], run.cap) for run in runs if run.cap is not None]
    yield gauge("prefmill_run_cost_cap_usd", "limits.cost_usd of the recipe.", ["run"], caps)
    yield from _of_slots([(run.name, slot) for run in runs for slot in run.slots])


Named = Sequence[tuple[str, SlotSeen]]


def _of_slots(slots: Named) -> Iterator[Any]:
    for name, said, make, label, values in _SLOT_COUNTS:
        rows = [
            ([run, slot.kind, slot.name, slot.model, *value], number)
            for run, slot in slots
            for value, number in values(slot)
            if number is not None
        ]
        yield make(f"prefmill_run_{name}", said, [*SLOT, *label], rows)


Values = Callable[[SlotSeen], Iterable[tuple[Sequence[str], float | None]]]

_SLOT_COUNTS: Final[tuple[tuple[str, str, Callable[..., Any], Sequence[str], Values], ...]] = (
    (
        "cells_wanted",
        "Cells wanted, as far as known.",
        gauge,
        (),
        lambda slot: [((), slot.wanted)],
    ),
    (
        "cells",
        "Cells closed, by result; reused ones count as done.",
        counter,
        ("result",),
        lambda slot: [(("done",), slot.tally.done), (("failed",), slot.tally.failed)],
    ),
    (
        "reused_cells",
        "Cells filled from stored answers.",
        counter,
        (),
        lambda slot: [((), slot.tally.reused)],
    ),
    (
        "calls",
        "Calls stored, by result; a failed one is an attempt of its cell.",
        counter,
        ("result",),
        lambda slot: [
            (("done",), max(0, slot.tally.done - slot.tally.reused)),
            (("failed",), slot.tally.attempts),
        ],
    ),
    (
        "tokens",
        "Tokens paid for, read and written.",
        counter,
        ("direction",),
        lambda slot: [
            (("input",), slot.tally.input_tokens),
            (("output",), slot.tally.output_tokens),
        ],
    ),
    (
        "cost_usd",
        "US dollars paid, where a price is known.",
        counter,
        (),
        lambda slot: [((), slot.cost)],
    ),
    (
        "planned_cost_usd",
        "US dollars estimated: of all cells wanted, and of those closed so far.",
        gauge,
        ("scope",),
        lambda slot: [(("run",), slot.planned_cost), (("so_far",), slot.planned_so_far)],
    ),
)


def _of_lanes(lanes: Sequence[LaneSeen]) -> Iterator[Any]:
    rows = [
        ([lane.slug, lane.kind, state], count)
        for lane in lanes
        for state, count in (("planned", lane.planned), ("published", lane.published))
    ]
    said = "Rows in batches of the lane, of all runs."
    yield gauge("prefmill_queue_rows", said, [*LANE, "state"], rows)
    for name, said, value in _LANE_COUNTS:
        found = [
            ([lane.slug, lane.kind], number)
            for lane in lanes
            if (number := value(lane)) is not None
        ]
        yield gauge(f"prefmill_queue_{name}", said, LANE, found)


_LANE_COUNTS: Final[tuple[tuple[str, str, Callable[[LaneSeen], float | None]], ...]] = (
    ("window_rows", "Rows that may be out on the lane at once.", lambda lane: lane.window),
    ("workers", "Live workers that serve the lane.", lambda lane: lane.workers),
    ("ready_workers", "Those of them that take batches.", lambda lane: lane.ready),
    ("slots", "Calls that they can have in flight.", lambda lane: lane.slots),
    ("paused", "1 while the lane is paused.", lambda lane: lane.paused),
)


def _of_broker(seen: BrokerSeen, kinds: dict[str, Any]) -> Iterator[Any]:
    rows = [
        ([slug, kinds.get(slug, ""), state], count)
        for slug, queue in seen.queues.items()
        for state, count in (("waiting", queue.waiting), ("delivered", queue.delivered))
    ]
    said = "Batches in the lane's queue: not given to anybody, and not acknowledged."
    yield gauge("prefmill_queue_batches", said, [*LANE, "state"], rows)
    if seen.results is not None:
        results = [(["waiting"], seen.results.waiting), (["delivered"], seen.results.delivered)]
        yield gauge("prefmill_results", "Replies that are not stored yet.", ["state"], results)
    held = seen.streams.items()
    messages = [([name], stored.messages) for name, stored in held]
    yield gauge("prefmill_stream_messages", "Messages in a stream.", ["stream"], messages)
    sizes = [([name], stored.bytes) for name, stored in held]
    yield gauge("prefmill_stream_bytes", "Bytes in a stream.", ["stream"], sizes)

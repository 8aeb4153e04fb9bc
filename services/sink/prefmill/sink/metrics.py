"""What a sink exports: replies and transactions, verdicts and ratings by judge, exports.

Labels are bounded: the 50 runs heard of last by name, the others as `other`; reasons and statuses
are closed sets; never the id of a row or of a batch.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, get_args

from prefmill.contracts.api import ExportState
from prefmill.ledger.observed import SlotName
from prefmill.messaging.families import counter, gauge, histogram
from prefmill.sink.counts import AspectCounts, SlotCounts
from prefmill.sink.observer import Observer

SLOT: Final = ("run", "kind", "name", "model")
JUDGE: Final = ("run", "judge", "model", "aspect")


class SinkMetrics:
    """A collector for Prometheus' registry."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def collect(self) -> Iterator[Any]:
        """All families."""
        seen, counts = self._observer, self._observer.counts
        yield gauge("prefmill_ledger_up", "1 if Postgres answers.", [], [([], seen.ledger_up)])
        replies = [([kind], counts.replies[kind]) for kind in ("generate", "judge")]
        yield counter("prefmill_sink_replies", "Replies stored.", ["kind"], replies)
        said = "Transactions that store replies."
        yield histogram("prefmill_sink_transaction_seconds", said, [], [([], counts.transactions)])
        said = "From a worker's reply until it was stored."
        yield histogram("prefmill_sink_wait_seconds", said, [], [([], counts.waits)])
        yield from self._exports()
        named = [
            (name, slot) for key, slot in counts.slots.items() if (name := seen.names.get(key))
        ]
        yield from _of_slots(named)
        yield from _of_judges(named)

    def _exports(self) -> Iterator[Any]:
        seen = self._observer
        states = [([state], seen.exports.get(state, 0)) for state in get_args(ExportState)]
        yield gauge("prefmill_exports", "Exports by state.", ["state"], states)
        times = [([state], seen.counts.exports[state]) for state in ("written", "failed")]
        yield histogram("prefmill_export_seconds", "Exports made, by end.", ["state"], times)
        known = [([x.run, x.aspect], x.alpha) for x in seen.agreement if x.alpha is not None]
        said = "Krippendorff's alpha of a run's judges over the last rows, ordinal."
        yield gauge("prefmill_agreement_alpha", said, ["run", "aspect"], known)
        texts = [([each.run, each.aspect], each.texts) for each in seen.agreement]
        said = "Texts that it was computed from."
        yield gauge("prefmill_agreement_texts", said, ["run", "aspect"], texts)


Named = list[tuple[SlotName, SlotCounts]]


def _of_slots(slots: Named) -> Iterator[Any]:
    cells: Counter[tuple[str, ...]] = Counter()
    failures: Counter[tuple[str, ...]] = Counter()
    for name, slot in slots:
        cells[name] += slot.cells
        for reason, count in slot.failures.items():
            failures[*name, reason] += count
    yield counter("prefmill_sink_cells", "Cells stored, failed ones too.", SLOT, cells.items())
    said = "Failed attempts stored, by reason."
    yield counter("prefmill_failed_attempts", said, [*SLOT, "reason"], failures.items())


def _of_judges(slots: Named) -> Iterator[Any]:
    verdicts: Counter[tuple[str, ...]] = Counter()
    readings: Counter[tuple[str, ...]] = Counter()
    points: dict[tuple[str, ...], float] = {}
    squares: dict[tuple[str, ...], float] = {}
    for name, slot in slots:
        for aspect, counts in slot.aspects.items():
            key = (name.run, name.alias, name.model, aspect)
            verdicts.update({(*key, result): n for result, n in counts.verdicts.items()})
            readings.update({(*key, status): n for status, n in counts.readings.items()})
            _add(points, squares, key, counts)
    yield counter("prefmill_verdicts", "Verdicts, by result.", [*JUDGE, "result"], verdicts.items())
    said = "Texts in verdicts, by how their rating could be read."
    yield counter("prefmill_readings", said, [*JUDGE, "status"], readings.items())
    said = "Sum of the ratings given: those from 0 up, and those below without their sign."
    yield counter("prefmill_rating_points", said, [*JUDGE, "sign"], points.items())
    said = "Sum of the squares of the ratings given."
    yield counter("prefmill_rating_squares", said, JUDGE, squares.items())


def _add(
    points: dict[tuple[str, ...], float],
    squares: dict[tuple[str, ...], float],
    key: tuple[str, ...],
    counts: AspectCounts,
) -> None:
    for sign, total in (("plus", counts.above), ("minus", counts.below)):
        points[*key, sign] = points.get((*key, sign), 0.0) + total
    squares[key] = squares.get(key, 0.0) + counts.squares

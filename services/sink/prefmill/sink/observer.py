"""Looks up for whoever scrapes what a sink's counts do not say: names of slots, states of exports,
and how far the judges of runs that go on agree about the last rows."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.ledger import observed, runs
from prefmill.ledger.database import Ledger
from prefmill.ledger.observed import Ratings, SlotName
from prefmill.sink.counts import Counts
from prefmill.sink.domain import agreement

log: Final = logging.getLogger("prefmill.sink")

FRESH_S: Final = 3.0
AGREEMENT_S: Final = 60.0
"""Agreement is looked at so often."""
ROWS: Final = 200
"""It is that of the last so many rows with verdicts."""
PATIENCE_S: Final = 4.0
MOST_RUNS: Final = 50
OTHER: Final = "other"


@dataclass(frozen=True)
class Agreement:
    """How far the judges of a run agree on an aspect."""

    run: str
    aspect: str
    alpha: float | None
    """Krippendorff's, ordinal; None where ratings do not differ."""
    texts: int
    """That two judges or more have rated."""


class Observer:
    """What was seen last. `ledger_up` says whether the ledger could be read now."""

    def __init__(self, ledger: Ledger, counts: Counts) -> None:
        self._ledger = ledger
        self._looking = asyncio.Lock()
        self._looked: float | None = None
        self._agreed: float | None = None
        self.counts = counts
        self.names: dict[int, SlotName] = {}
        self.exports: dict[str, int] = {}
        self.agreement: Sequence[Agreement] = ()
        self.ledger_up = False

    async def look(self) -> None:
        """See how things are, unless that was just done."""
        async with self._looking:
            if self._looked is not None and time.monotonic() - self._looked < FRESH_S:
                return
            self.counts.forget()
            self.ledger_up = await self._read()
            self._looked = time.monotonic()

    async def _read(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S), self._ledger.begin() as connection:
                await self._names(connection)
                self.exports = await observed.exports_by_state(connection)
                now = time.monotonic()
                if self._agreed is None or now - self._agreed > AGREEMENT_S:
                    self.agreement = await _agreement(connection)
                    self._agreed = now
        except (DBAPIError, InterfaceError, OSError) as error:
            if self.ledger_up:
                log.warning("metrics: the ledger cannot be read: %s", error or type(error).__name__)
            return False
        return True

    async def _names(self, connection: AsyncConnection) -> None:
        """The runs heard of last have names, the others are `other`."""
        slots = self.counts.slots
        unknown = [slot for slot in slots if slot not in self.names]
        if unknown:
            self.names |= await observed.slot_names(connection, unknown)
        self.names = {slot: name for slot, name in self.names.items() if slot in slots}
        latest = sorted(self.names, key=lambda slot: -slots[slot].heard)
        named = list(dict.fromkeys(self.names[slot].run for slot in latest))[:MOST_RUNS]
        for slot, name in self.names.items():
            if name.run not in named:
                self.names[slot] = SlotName(OTHER, name.kind, OTHER, OTHER)


async def _agreement(connection: AsyncConnection) -> list[Agreement]:
    going = [run for run in await runs.runs(connection) if run.state == "running"][:MOST_RUNS]
    slots = await observed.slots_of(connection, [run.id for run in going])
    found: list[Agreement] = []
    for run in going:
        if sum(slot.kind == "judge" for slot in slots.get(run.id, ())) > 1:
            latest = await observed.latest_ratings(connection, run.id, ROWS)
            found += agreement_of(run.name, latest)
    return found


def agreement_of(
    run: str, latest: Sequence[tuple[str, dict[int, list[Ratings]]]]
) -> list[Agreement]:
    """Krippendorff's alpha on each aspect, from aspect and slot → ratings of each sample."""
    parts: dict[str, agreement.Counts] = {part: defaultdict(_none) for part in agreement.PARTS}
    texts = Counter[str]()
    for aspect, by_slot in latest:
        means = {str(slot): _means(samples) for slot, samples in by_slot.items()}
        agreement.count(parts, aspect, means)
        columns = zip(*means.values(), strict=True)
        texts[aspect] += sum(sum(r is not None for r in column) > 1 for column in columns)
    tables = {a: agreement.table_of(counts) for a, counts in sorted(parts["coincidence"].items())}
    return [
        Agreement(run, aspect, agreement.alpha(table, "ordinal"), texts[aspect])
        for aspect, table in tables.items()
    ]


def _none() -> dict[str, float]:
    return defaultdict(float)


def _means(samples: Sequence[Ratings]) -> Ratings:
    """Several samples of a judge are one measurement of each text, their mean."""
    means: Ratings = []
    for column in zip(*samples, strict=True):
        given = [rating for rating in column if rating is not None]
        means.append(sum(given) / len(given) if given else None)
    return means

"""What metrics tell of the ledger: counts of small tables and sums that are kept up; never a scan
of prompts, answers, or verdicts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.rows import Prompt
from prefmill.ledger.finished import READINGS
from prefmill.ledger.runs import Slot
from prefmill.ledger.status import Tally
from prefmill.ledger.tables import RUN, SLOT, TALLY


@dataclass(frozen=True, slots=True)
class Live:
    """Batches of one run, lane and state, and the rows in them."""

    run_id: int
    lane: str
    state: int
    batches: int
    rows: int


@dataclass(frozen=True, slots=True)
class Size:
    """Of the database: bytes on disk, connections to it, and how many it allows."""

    bytes: int
    connections: int
    most_connections: int


class SlotName(NamedTuple):
    """Who a slot is, in words."""

    run: str
    kind: str
    alias: str
    model: str


_LIVE: Final = sa.text("""
    SELECT run_id, lane, state, count(*), coalesce(sum(cardinality(rows)), 0) FROM batch
    GROUP BY 1, 2, 3
""")
_DEAD: Final = sa.text("SELECT split_part(subject, '.', 1), count(*) FROM dead GROUP BY 1")
_EXPORTS: Final = sa.text("SELECT state, count(*) FROM export GROUP BY 1")
_FIRST: Final = sa.text("""
    SELECT body::text FROM prompt WHERE run_id = :run AND position < :rows ORDER BY position
""")
_SIZE: Final = sa.text("""
    SELECT pg_database_size(current_database()),
           (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
           current_setting('max_connections')::int
""")
_LATEST: Final = sa.text("""
    SELECT v.position, v.slot_id, v.aspect, v.target, v.readings::text FROM verdict v
    WHERE v.run_id = :run AND v.position > (
      SELECT max(position) FROM verdict WHERE run_id = :run) - :rows
""")


async def live_batches(connection: AsyncConnection) -> list[Live]:
    """All batches, those that are to be looked at too (state CLOSED), summed."""
    return [
        Live(run, lane, state, batches, int(rows))
        for run, lane, state, batches, rows in await connection.execute(_LIVE)
    ]


async def tallies_of(
    connection: AsyncConnection, run_ids: Sequence[int]
) -> dict[int, dict[int, Tally]]:
    """Run → slot → its counts, of several runs at once."""
    columns = [TALLY.c[name] for name in Tally.__dataclass_fields__]
    found = await connection.execute(
        sa.select(TALLY.c.run_id, TALLY.c.slot_id, *columns).where(TALLY.c.run_id.in_(run_ids))
    )
    by_run: defaultdict[int, dict[int, Tally]] = defaultdict(dict[int, Tally])
    for row in found:
        run, slot, *counts = tuple(row)
        by_run[run][slot] = Tally(*map(int, counts))
    return by_run


async def slots_of(connection: AsyncConnection, run_ids: Sequence[int]) -> dict[int, list[Slot]]:
    """Run → its slots, of several runs at once."""
    columns = [SLOT.c[name] for name in Slot.__dataclass_fields__]
    found = await connection.execute(
        sa.select(SLOT.c.run_id, *columns).where(SLOT.c.run_id.in_(run_ids)).order_by(SLOT.c.id)
    )
    by_run: defaultdict[int, list[Slot]] = defaultdict(list)
    for run, *slot in found:
        by_run[run].append(Slot(*slot))
    return by_run


async def slot_names(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, SlotName]:
    """Slot → who it is."""
    found = await connection.execute(
        sa.select(SLOT.c.id, RUN.c.name, SLOT.c.kind, SLOT.c.alias, SLOT.c.model)
        .join(RUN, RUN.c.id == SLOT.c.run_id)
        .where(SLOT.c.id.in_(ids))
    )
    return {slot: SlotName(*name) for slot, *name in found}


async def first_prompts(connection: AsyncConnection, run_id: int, rows: int) -> list[Prompt]:
    """The prompts at the first positions of a run."""
    found = await connection.execute(_FIRST, {"run": run_id, "rows": rows})
    return [Prompt.read(body) for (body,) in found]


async def dead_letters(connection: AsyncConnection) -> dict[str, int]:
    """First word of the subject (`generate`, `judge`, `results`) → batches given up, ever."""
    return {row[0]: row[1] for row in await connection.execute(_DEAD)}


async def exports_by_state(connection: AsyncConnection) -> dict[str, int]:
    """State → exports, ever."""
    return {row[0]: row[1] for row in await connection.execute(_EXPORTS)}


async def size(connection: AsyncConnection) -> Size:
    """How large the database is."""
    return Size(*(await connection.execute(_SIZE)).one())


Ratings = list[float | None]


async def latest_ratings(
    connection: AsyncConnection, run_id: int, rows: int
) -> list[tuple[str, dict[int, list[Ratings]]]]:
    """The verdicts on the last `rows` positions that have any: for each set of texts that was
    judged on an aspect, the aspect, and slot → the ratings of each sample."""
    found: defaultdict[tuple[int, str, bytes], defaultdict[int, list[Ratings]]]
    found = defaultdict(lambda: defaultdict(list))
    values = {"run": run_id, "rows": rows}
    for position, slot, aspect, target, readings in await connection.execute(_LATEST, values):
        ratings = [reading.rating for reading in READINGS.decode(readings)]
        found[position, aspect, target][slot].append(ratings)
    return [(aspect, dict(slots)) for (_, aspect, _), slots in found.items()]

"""Runs, their revisions, slots and lanes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.workers import LaneSpec
from prefmill.ledger import planning
from prefmill.ledger.desired import Desired
from prefmill.ledger.planning import StoredBatch
from prefmill.ledger.tables import ATTEMPT, BATCH, FAILURE, LANE, REVISION, RUN, SLOT, TALLY

NOTICE: Final = "prefmill"
"""The NOTIFY channel; its payload is a run's id. May be lost: a tick makes it right."""


LEFT_OUT: Final = "left out "
"""Before a reason, among the counts of what was drawn."""

ASKED_AGAIN: Final = "asked again "
"""Before the id of a slot, among the same counts."""

BLANK: Final = "blank "
"""Before who wrote responses, among the same counts."""


_UPLOADS: Final = sa.text("""
    SELECT DISTINCT (regexp_matches(recipe::text, 'upload:([0-9a-f]{64})/', 'g'))[1] FROM revision
""")


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as stored."""

    id: int
    name: str
    state: str
    reason: str
    revision: int
    fresh: bool
    directory: str | None
    source_digest: bytes
    source_fingerprint: str
    source_done: bool
    rows: int
    rows_failed: int
    """Rows that no model is asked about."""
    drawn: dict[str, int]
    """Alias → rows drawn for it; `LEFT_OUT` and a reason → rows that transforms left out;
    `ASKED_AGAIN` and a slot → rows that killed workers had in hand; `BLANK` and who wrote
    responses → rows that came with a blank one."""
    created_at: datetime

    @property
    def left_out(self) -> dict[str, int]:
        """Reason → rows that transforms left out before generation."""
        return self._counted(LEFT_OUT)

    @property
    def asked_again(self) -> dict[int, int]:
        """Slot → rows that workers had in hand when they were killed, and that were asked again."""
        return {int(slot): rows for slot, rows in self._counted(ASKED_AGAIN).items()}

    @property
    def blank(self) -> dict[str, int]:
        """Who wrote the responses that came with rows → those of usable rows that hold no text."""
        return self._counted(BLANK)

    def _counted(self, what: str) -> dict[str, int]:
        counts = sorted(self.drawn.items())
        return {key.removeprefix(what): count for key, count in counts if key.startswith(what)}

    @property
    def failed(self) -> int:
        """Rows that could not be used: those that no model is asked about, and that no transform
        left out."""
        return self.rows_failed - sum(self.left_out.values())


@dataclass(frozen=True, slots=True)
class Slot:
    """One model or judge of a run under one set of parameters: what keys its cells."""

    id: int
    kind: str
    alias: str
    key: bytes
    model: str
    lane: str


_RUN = sa.select(*(RUN.c[name] for name in Run.__dataclass_fields__))
_UNARCHIVED = _RUN.where(~RUN.c.archived).order_by(RUN.c.id.desc())
_PAUSED = sa.text("SELECT slug, paused FROM lane WHERE paused IS NOT NULL")
_TAKE = sa.text("SELECT id FROM run WHERE id = :run FOR UPDATE SKIP LOCKED")
_NOTIFY = sa.text("SELECT pg_notify(:channel, :run)")
_SLOT = sa.select(*(SLOT.c[name] for name in Slot.__dataclass_fields__))


async def runs(connection: AsyncConnection) -> list[Run]:
    """All runs that are not archived, newest first."""
    found = await connection.execute(_UNARCHIVED)
    return [Run(*row) for row in found]


async def run_by_id(connection: AsyncConnection, run_id: int) -> Run | None:
    """One run."""
    row = (await connection.execute(_RUN.where(RUN.c.id == run_id))).first()
    return Run(*row) if row else None


async def run_by_name(connection: AsyncConnection, name: str) -> Run | None:
    """The run of that name which is not archived."""
    named = _RUN.where(RUN.c.name == name, ~RUN.c.archived)
    row = (await connection.execute(named)).first()
    return Run(*row) if row else None


async def create_run(connection: AsyncConnection, **values: Any) -> int:
    """A new run; its id."""
    made = await connection.execute(RUN.insert().values(**values).returning(RUN.c.id))
    return made.scalar_one()


async def update_run(connection: AsyncConnection, run_id: int, **values: Any) -> None:
    """Change columns of a run, and tell whoever listens."""
    await connection.execute(RUN.update().where(RUN.c.id == run_id).values(**values))
    await notify(connection, run_id)


async def count_asked_again(connection: AsyncConnection, batches: Sequence[StoredBatch]) -> None:
    """Add the rows of these batches to what their runs asked again."""
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for batch in batches:
        counts[batch.run_id][f"{ASKED_AGAIN}{batch.slot_id}"] += len(batch.rows)
    for run_id, more in sorted(counts.items()):
        drawn = sa.select(RUN.c.drawn).where(RUN.c.id == run_id).with_for_update()
        more.update(await connection.scalar(drawn))
        await update_run(connection, run_id, drawn=dict(more))


async def notify(connection: AsyncConnection, run_id: int) -> None:
    """Say that something of the run changed, when the transaction commits."""
    await connection.execute(_NOTIFY, {"channel": NOTICE, "run": str(run_id)})


async def take_run(connection: AsyncConnection, run_id: int) -> bool:
    """Lock the run until the end of the transaction; False while another planner has it."""
    return (await connection.execute(_TAKE, {"run": run_id})).first() is not None


async def lock_run(connection: AsyncConnection, run_id: int) -> Run | None:
    """The run, locked until the end of the transaction; None while another planner has it."""
    locked = _RUN.where(RUN.c.id == run_id).with_for_update(skip_locked=True)
    row = (await connection.execute(locked)).first()
    return Run(*row) if row else None


async def add_revision(
    connection: AsyncConnection, run_id: int, number: int, recipe: dict[str, Any], desired: Desired
) -> None:
    """Store one immutable text of the recipe, and what it wants by the ledger's keys."""
    plan = desired.model_dump(mode="json")
    values = {"run_id": run_id, "number": number, "recipe": recipe, "desired": plan}
    await connection.execute(REVISION.insert().values(**values))


async def recipe_of(connection: AsyncConnection, run_id: int, number: int) -> dict[str, Any]:
    """The recipe of a revision, as stored."""
    return (await connection.execute(_revision(REVISION.c.recipe, run_id, number))).scalar_one()


async def uploads_named(connection: AsyncConnection) -> frozenset[str]:
    """SHA-256 of every upload that some revision of some run names, in hex."""
    found = await connection.execute(_UPLOADS)
    return frozenset(found.scalars())


async def desired_of(connection: AsyncConnection, run_id: int, number: int) -> Desired:
    """What a revision wants."""
    stored = await connection.execute(_revision(REVISION.c.desired, run_id, number))
    return Desired.model_validate(stored.scalar_one())


def _revision(column: Any, run_id: int, number: int) -> Any:
    return sa.select(column).where(REVISION.c.run_id == run_id, REVISION.c.number == number)


async def put_slots(
    connection: AsyncConnection, run_id: int, slots: Sequence[dict[str, Any]]
) -> dict[bytes, Slot]:
    """Store the slots a recipe names, keep those known, and give them all by (kind +) key."""
    if slots:
        statement = insert(SLOT).values([slot | {"run_id": run_id} for slot in slots])
        await connection.execute(
            statement.on_conflict_do_update(
                constraint="slot_key",
                set_={name: statement.excluded[name] for name in ("alias", "model", "lane")},
            )
        )
    return {slot.key: slot for slot in await slots_of(connection, run_id)}


async def slots_of(connection: AsyncConnection, run_id: int) -> list[Slot]:
    """All slots of a run, those of older revisions too."""
    found = await connection.execute(_SLOT.where(SLOT.c.run_id == run_id).order_by(SLOT.c.id))
    return [Slot(*row) for row in found]


async def register_lanes(connection: AsyncConnection, lanes: Sequence[dict[str, Any]]) -> None:
    """Store lanes; a known slug keeps its digest and gets its new specification."""
    for lane in sorted(lanes, key=lambda lane: str(lane["slug"])):
        statement = insert(LANE).values(slug=lane["slug"], spec=lane)
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["slug"], set_={"spec": lane})
        )


async def lanes(connection: AsyncConnection) -> dict[str, tuple[dict[str, Any], str | None]]:
    """Slug → specification, and why it is paused (None if it is not)."""
    found = await connection.execute(sa.select(LANE.c.slug, LANE.c.spec, LANE.c.paused))
    return {slug: (spec, paused) for slug, spec, paused in found}


async def lane_specs(connection: AsyncConnection) -> dict[str, LaneSpec]:
    """Slug → specification, of all lanes."""
    stored = await lanes(connection)
    return {slug: LaneSpec.model_validate(spec) for slug, (spec, _) in stored.items()}


async def paused_lanes(connection: AsyncConnection) -> dict[str, str]:
    """Slug → why it is paused, of the lanes that are."""
    found = await connection.execute(_PAUSED)
    return {row.slug: row.paused for row in found}


async def pause_lane(connection: AsyncConnection, slug: str, why: str | None) -> None:
    """Pause a lane, or with None let it go on."""
    await connection.execute(LANE.update().where(LANE.c.slug == slug).values(paused=why))


async def archive(connection: AsyncConnection, run_id: int) -> None:
    """Give up a run's name; its rows stay. Its batches are dropped."""
    await connection.execute(BATCH.delete().where(BATCH.c.run_id == run_id))
    await update_run(connection, run_id, archived=True, state="cancelled")


async def forgive(connection: AsyncConnection, run_id: int) -> int:
    """Reopen all failed cells with fresh attempts, and have their rows looked at; how many cells
    there were."""
    await planning.look_again_at_failed(connection, run_id)
    gone = await connection.execute(FAILURE.delete().where(FAILURE.c.run_id == run_id))
    await connection.execute(TALLY.update().where(TALLY.c.run_id == run_id).values(failed=0))
    await connection.execute(
        ATTEMPT.update().where(ATTEMPT.c.run_id == run_id).values(forgiven=True)
    )
    return gone.rowcount

"""Exports: asked for by the coordinator, claimed and made by a sink."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.ledger.runs import NOTICE, notify
from prefmill.ledger.tables import EXPORT


@dataclass(frozen=True, slots=True)
class Export:
    """One export, as stored."""

    id: int
    run_id: int
    revision: int
    spec: dict[str, Any]
    state: str
    directory: str
    rows: int
    outcome: dict[str, Any] | None
    error: str


_EXPORT = sa.select(*(EXPORT.c[name] for name in Export.__dataclass_fields__))

_ONE_BY_ONE = sa.text("SELECT pg_advisory_xact_lock(hashtext('prefmill.export'))")
_CLAIM = sa.text("""
    WITH live AS (
      SELECT id, run_id FROM export
      WHERE state = 'writing' AND claimed_at >= now() - make_interval(secs => :stale_s))
    UPDATE export SET state = 'writing', claimed_at = now() WHERE id = (
      SELECT id FROM export
      WHERE state IN ('wanted', 'writing') AND run_id NOT IN (SELECT run_id FROM live)
      ORDER BY id LIMIT 1)
    RETURNING id
""")
_WITHDRAW = sa.text("""
    DELETE FROM export WHERE run_id = :run AND state = 'wanted' AND spec::jsonb ? 'so_far'
""")


async def want_export(
    connection: AsyncConnection,
    run_id: int,
    revision: int,
    spec: Mapping[str, Any],
    directory: str,
) -> int:
    """Ask for an export; an empty `spec` means the recipe's own formats. Its id."""
    values = {
        "run_id": run_id,
        "revision": revision,
        "spec": dict(spec),
        "state": "wanted",
        "directory": directory,
    }
    made = await connection.execute(EXPORT.insert().values(**values).returning(EXPORT.c.id))
    await notify(connection, run_id)
    return made.scalar_one()


async def exports_of(connection: AsyncConnection, run_id: int) -> list[Export]:
    """The exports of a run, newest first."""
    found = await connection.execute(
        _EXPORT.where(EXPORT.c.run_id == run_id).order_by(EXPORT.c.id.desc())
    )
    return [Export(*row) for row in found]


async def export_by_id(connection: AsyncConnection, export_id: int) -> Export | None:
    """One export."""
    row = (await connection.execute(_EXPORT.where(EXPORT.c.id == export_id))).first()
    return Export(*row) if row else None


async def claim_export(connection: AsyncConnection, stale_s: float) -> Export | None:
    """Take an export to make it: one that is wanted, or whose sink has said nothing for
    `stale_s` seconds. Those of a run are made one after another, so that what was asked for later
    is also shown later."""
    await connection.execute(_ONE_BY_ONE)
    claimed = (await connection.execute(_CLAIM, {"stale_s": stale_s})).scalar_one_or_none()
    return await export_by_id(connection, claimed) if claimed is not None else None


async def withdraw_so_far(connection: AsyncConnection, run_id: int) -> None:
    """Forget datasets so far that nobody has begun: the whole one comes."""
    await connection.execute(_WITHDRAW, {"run": run_id})


async def update_export(
    connection: AsyncConnection, export_id: int, run_id: int, **values: Any
) -> None:
    """Note how far an export is; also the sign of life of the sink that makes it."""
    await connection.execute(
        EXPORT.update().where(EXPORT.c.id == export_id).values(claimed_at=sa.func.now(), **values)
    )
    await connection.execute(sa.select(sa.func.pg_notify(NOTICE, str(run_id))))

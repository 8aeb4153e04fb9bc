"""Connections, transactions and migrations."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from prefmill.ledger.tables import METADATA

P = ParamSpec("P")
R = TypeVar("R")

HEAD: Final = "0001"
"""The migration this code was written for."""

_MIGRATION_LOCK: Final = 7_032_001
_RETRIED: Final = {"40001", "40P01"}
"""Serialization failure and deadlock."""


class LedgerError(Exception):
    """The ledger cannot be used; the message says why and what to do."""


class NotMigrated(LedgerError):
    """The schema is older than this code."""


class Ledger:
    """The database. Its modules' functions take a connection of `begin` or `snapshot`."""

    def __init__(self, url: str, pool_size: int = 5) -> None:
        """`url` is `postgresql://user:password@host:port/database`. LedgerError if it is not."""
        self.engine: AsyncEngine = create_async_engine(
            _url(url), pool_size=pool_size, max_overflow=2, pool_pre_ping=False, pool_use_lifo=True
        )

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction: read committed, committed at the end."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that sees the ledger as it was at its first statement."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            async with connection.begin():
                yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def retried(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Run the transaction again after a deadlock or serialization failure, up to ten times."""

    async def again(*args: P.args, **kwargs: P.kwargs) -> R:
        for left in range(9, -1, -1):
            try:
                return await function(*args, **kwargs)
            except DBAPIError as error:
                if not left or sqlstate(error) not in _RETRIED:
                    raise
                await asyncio.sleep(0.002 * (10 - left))
        raise AssertionError("unreachable")

    return again


def sqlstate(error: DBAPIError) -> str:
    """Postgres' five-character code, empty where there is none (a lost connection)."""
    return str(getattr(error.orig, "sqlstate", None) or "")


async def open_ledger(
    ledger: Ledger,
    wait_s: float,
    *,
    migrate: bool = True,
    any_version: bool = False,
    told: Callable[[str], None] = lambda _: None,
) -> None:
    """Bring the schema to HEAD as soon as Postgres answers, or with `migrate=False` wait until
    somebody has; LedgerError if that is not within `wait_s` seconds, or if the schema is newer
    than this code. Meanwhile `told` is told what is wrong, in one line."""
    ready = migrate_to_head if migrate else _answers if any_version else _check
    deadline = time.monotonic() + wait_s
    while True:
        try:
            await ready(ledger)
        except NotMigrated as error:
            if time.monotonic() >= deadline:
                raise
            told(str(error))
            await asyncio.sleep(1.0)
        except (OSError, DBAPIError, InterfaceError) as error:
            if time.monotonic() >= deadline:
                raise _unreachable(ledger, error) from error
            told(str(_unreachable(ledger, error)))
            await asyncio.sleep(0.2)
        else:
            return


async def _answers(ledger: Ledger) -> None:
    async with ledger.begin() as connection:
        await connection.execute(sa.text("SELECT 1"))


async def _check(ledger: Ledger) -> None:
    """LedgerError unless the schema is at HEAD; NotMigrated where a migration may mend it."""
    async with ledger.begin() as connection:
        found = await version(connection)
    if found is None or found < HEAD:
        raise NotMigrated(
            f"the ledger is at migration {found or 'none'}, this version wants {HEAD}; "
            "run `python -m prefmill.ledger upgrade` with this version"
        )
    if found > HEAD:
        raise _other_version(f"it is at migration {found}, this version knows {HEAD}")


async def migrate_to_head(ledger: Ledger) -> None:
    """Bring the schema to HEAD: an empty database gets the tables as they are now, an older one
    the migrations it lacks. LedgerError if it is newer than this code."""
    async with ledger.begin() as connection:
        await connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        found = await version(connection)
        if found is None:
            await connection.run_sync(_create)
        elif found != HEAD:
            await connection.run_sync(upgrade)


def _url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise LedgerError(
            "PREFMILL_DATABASE_URL is no address of a Postgres; "
            "write postgresql://user:password@host:port/database"
        ) from None
    if url.get_backend_name() != "postgresql":
        raise LedgerError(
            f"the ledger needs Postgres, not {url.get_backend_name()}; "
            "set PREFMILL_DATABASE_URL to postgresql://user:password@host:port/database"
        )
    return url.set(drivername="postgresql+asyncpg")


def _unreachable(ledger: Ledger, error: BaseException) -> LedgerError:
    """Where it was looked for, without the password; the driver's first line says why."""
    url = ledger.engine.url
    where = f"{url.host or 'the local socket'}{f':{url.port}' if url.port else ''}/{url.database}"
    why = getattr(error, "strerror", None) or str(getattr(error, "orig", None) or error)
    return LedgerError(
        f"the ledger cannot be opened: Postgres at {where}: {why.splitlines()[0]}; "
        "start it, or set PREFMILL_DATABASE_URL to where it is"
    )


async def version(connection: AsyncConnection) -> str | None:
    """The schema's migration; None in an empty database."""
    exists = await connection.scalar(sa.text("SELECT to_regclass('alembic_version')"))
    if exists is None:
        return None
    return await connection.scalar(sa.text("SELECT version_num FROM alembic_version"))


def _create(connection: sa.Connection) -> None:
    """The tables at once: Alembic alone would take longer to import than all of this."""
    METADATA.create_all(connection)
    connection.execute(
        sa.text("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    )
    connection.execute(sa.text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that the schema lacks, all of them on an empty database."""
    from alembic import command
    from alembic.util.exc import CommandError

    try:
        command.upgrade(_alembic(connection), "head")
    except CommandError as error:
        raise _other_version(str(error)) from error


def downgrade(connection: sa.Connection, to: str) -> None:
    """Take migrations back until `to`. LedgerError if there is no such migration."""
    from alembic import command
    from alembic.util.exc import CommandError

    try:
        command.downgrade(_alembic(connection), to)
    except CommandError as error:
        raise LedgerError(f"cannot go back to migration {to}: {error}") from error


def _other_version(why: str) -> LedgerError:
    return LedgerError(
        f"the ledger was written by another version of prefmill ({why}); "
        "install that version, or use another database"
    )


def _alembic(connection: sa.Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "prefmill.ledger:migrations")
    config.attributes["connection"] = connection
    return config

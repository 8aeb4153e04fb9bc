"""The schema: made at once or by migrations, it is the same."""

import asyncio

import pytest
import sqlalchemy as sa

from prefmill.ledger.database import (
    HEAD,
    Ledger,
    LedgerError,
    NotMigrated,
    downgrade,
    migrate_to_head,
    open_ledger,
    upgrade,
    version,
)

CATALOG = """
    SELECT 'column', table_name, column_name || ' ' || data_type || ' ' || is_nullable || ' '
           || coalesce(column_default, '') || ' ' || is_identity FROM information_schema.columns
    WHERE table_schema = 'public'
    UNION ALL SELECT 'index', tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    ORDER BY 1, 2, 3
"""
EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"


async def catalog(ledger: Ledger) -> list[tuple[str, ...]]:
    async with ledger.begin() as connection:
        return [tuple(row) for row in await connection.execute(sa.text(CATALOG))]


async def empty(ledger: Ledger) -> None:
    async with ledger.begin() as connection:
        for statement in EMPTY.split("; "):
            await connection.execute(sa.text(statement))


async def test_migrations_make_the_tables_that_a_new_ledger_gets(ledger: Ledger) -> None:
    at_once = await catalog(ledger)
    await empty(ledger)
    async with ledger.begin() as connection:
        await connection.run_sync(upgrade)
        assert await version(connection) == HEAD
    by_migrations = await catalog(ledger)
    assert len(at_once) > 100
    assert [row for row in by_migrations if row[1] != "alembic_version"] == [
        row for row in at_once if row[1] != "alembic_version"
    ]


async def test_migrating_twice_changes_nothing(ledger: Ledger) -> None:
    before = await catalog(ledger)
    await migrate_to_head(ledger)
    assert await catalog(ledger) == before


async def test_a_ledger_of_a_newer_version_is_refused_in_one_line(ledger: Ledger) -> None:
    async with ledger.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match="another version of prefmill"):
        await migrate_to_head(ledger)


async def test_a_service_that_may_not_migrate_waits_for_who_does(ledger: Ledger) -> None:
    await empty(ledger)
    with pytest.raises(NotMigrated, match=r"prefmill\.ledger upgrade"):
        await open_ledger(ledger, 0.0, migrate=False)
    waiting = asyncio.create_task(open_ledger(ledger, 30.0, migrate=False))
    await migrate_to_head(ledger)
    await waiting
    assert not waiting.exception()


async def test_a_newer_ledger_is_not_waited_for(ledger: Ledger) -> None:
    async with ledger.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match="another version of prefmill") as caught:
        await open_ledger(ledger, 30.0, migrate=False)
    assert not isinstance(caught.value, NotMigrated)


async def test_migrations_go_back_and_forth(ledger: Ledger) -> None:
    before = await catalog(ledger)
    async with ledger.begin() as connection:
        await connection.run_sync(downgrade, "base")
    assert {row[1] for row in await catalog(ledger)} == {"alembic_version"}
    async with ledger.begin() as connection:
        await connection.run_sync(upgrade)
    assert await catalog(ledger) == before


async def test_an_unknown_migration_to_go_back_to_is_told(ledger: Ledger) -> None:
    async with ledger.begin() as connection:
        with pytest.raises(LedgerError, match="cannot go back to migration 7777"):
            await connection.run_sync(downgrade, "7777")

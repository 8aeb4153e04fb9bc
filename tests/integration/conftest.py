"""A Postgres for the session with an empty, migrated ledger for each test; a NATS for each."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import create_async_engine

from prefmill.cli.embedded import Home, Postgres, start_nats, start_postgres
from prefmill.ledger.database import Ledger, migrate_to_head
from prefmill.messaging.connection import connect
from prefmill.plugins.registry import forget

from .rig import Rig, make_rig


@pytest.fixture(scope="session", autouse=True)
def scripted_plugins() -> Iterator[None]:
    """The plugins of the flow tests, found as those of any installed distribution."""
    folder = str(Path(__file__).parents[1] / "flow" / "plugins")
    sys.path.append(folder)
    forget()
    yield
    sys.path.remove(folder)
    forget()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Home(tmp_path_factory.mktemp("postgres") / "home") as home:
        postgres = start_postgres(home)
        asyncio.run(_template(_url(postgres)))
        yield postgres
        postgres.stop()


def _url(postgres: Postgres) -> str:
    return postgres.dsn.replace("postgresql://", "postgresql+asyncpg://", 1)


async def _template(url: str) -> None:
    await _sql(url, "CREATE DATABASE template_ledger")
    ledger = Ledger(url.replace("/postgres?", "/template_ledger?"))
    await migrate_to_head(ledger)
    await ledger.close()


async def _sql(url: str, *statements: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(sa.text(statement))
    await engine.dispose()


@pytest_asyncio.fixture
async def database_url(postgres: Postgres, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """An empty ledger of the test's own."""
    name = f"ledger_{abs(hash(request.node.nodeid))}"
    url = _url(postgres)
    await _sql(url, f"CREATE DATABASE {name} TEMPLATE template_ledger")
    yield url.replace("/postgres?", f"/{name}?")
    await _sql(url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    ledger = Ledger(database_url)
    yield ledger
    await ledger.close()


@pytest.fixture
def nats_url(tmp_path: Path) -> Iterator[str]:
    with Home(tmp_path / "home") as home:
        server = start_nats(home, sync="10s")
        yield server.url
        server.stop()


@pytest_asyncio.fixture
async def nc(nats_url: str) -> AsyncIterator[Client]:
    client = await connect(nats_url, "test")
    yield client
    await client.close()


@pytest_asyncio.fixture
async def rig(ledger: Ledger, nc: Client) -> Rig:
    return await make_rig(ledger, nc)

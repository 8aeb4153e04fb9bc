"""Sinks, 1 to 8 of them, in front of a Postgres whose commits take their time.

A sink that writes to a Postgres on the same two cores is bound by those, however many there are.
So each makes few transactions here, five a second of eight replies, and a commit lasts as long as
one that a replica in another zone must have too (`commit_delay`): what is measured is whether n
sinks, which share one consumer and write the same tables and tallies, do n times as much or wait
for each other. `commits` is the worst case: no pause, and commits of 100 ms.
"""

import asyncio
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from nats.js import JetStreamContext

from benchmarks.containers import free_port, services
from prefmill.cli.embedded import Home
from prefmill.cli.embedded.stack import start_all
from prefmill.contracts.api import RunRequest
from prefmill.contracts.channels import GENERATED
from prefmill.contracts.chat import Usage
from prefmill.contracts.recipe import Recipe
from prefmill.contracts.results import BatchGenerated, GeneratedCell
from prefmill.coordinator.submission import submit
from prefmill.ledger import planning, runs
from prefmill.ledger.database import Ledger, migrate_to_head
from prefmill.messaging.connection import connect, jetstream_of
from prefmill.messaging.topology import RESULTS_STREAM, Topology, bootstrap

REPLIES_AT_ONCE: Final = 8
CELLS: Final = 4
SECONDS: Final = 12
"""Of full work, for each sink."""


@dataclass(frozen=True)
class Load:
    """How long a commit lasts, and how long a sink waits from a transaction to the next."""

    commit_s: float
    pace_s: float

    @property
    def possible(self) -> float:
        """Replies a second of one sink, if nothing else took time."""
        return REPLIES_AT_ONCE / max(self.commit_s, self.pace_s)


LOADS: Final = {"sink": Load(0.01, 0.2), "commits": Load(0.1, 0.0)}


def measure_sinks(sinks: int, load: Load, folder: Path) -> float:
    """Replies a second that so many sinks store."""
    with start_all(Home(folder / f"sinks-{load.pace_s}-{sinks}")) as servers:
        url = servers.postgres.dsn.replace("postgresql://", "postgresql+asyncpg://", 1)
        asyncio.run(_slow_commits(url, load.commit_s))
        env = {
            "PREFMILL_NATS_URL": servers.nats.url,
            "PREFMILL_DATABASE_URL": servers.postgres.dsn,
            "PREFMILL_REPLIES_AT_ONCE": str(REPLIES_AT_ONCE),
            "PREFMILL_PACE_S": str(load.pace_s),
            "PREFMILL_EXPORTS_DIR": str(folder / "exports"),
            "PREFMILL_LOG_LEVEL": "ERROR",
        }
        ports = [free_port() for _ in range(sinks)]
        with services(("sink", env | {"PREFMILL_PROBE_PORT": str(port)}) for port in ports):
            for port in ports:
                _until_ready(port)
            count = int(sinks * load.possible * SECONDS)
            return asyncio.run(_drain(url, servers.nats.url, count))


async def _slow_commits(url: str, commit_s: float) -> None:
    ledger = Ledger(url)
    await migrate_to_head(ledger)
    plain = await ledger.engine.connect()
    connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
    for setting in (f"commit_delay = {int(commit_s * 1e6)}", "commit_siblings = 0"):
        await connection.execute(sa.text(f"ALTER SYSTEM SET {setting}"))
    await connection.execute(sa.text("SELECT pg_reload_conf()"))
    await connection.close()
    await ledger.close()


def _until_ready(port: int, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, "a sink is not ready"
            time.sleep(0.1)


async def _drain(database: str, nats_url: str, count: int) -> float:
    """Replies a second, from the first that is offered to the last that is stored."""
    ledger = Ledger(database)
    nc = await connect(nats_url, "offers")
    js = jetstream_of(nc)
    await bootstrap(js, Topology())
    replies = await _replies(ledger, count)
    began = time.monotonic()
    for start in range(0, count, 64):
        offers = (js.publish(GENERATED.subject, body) for body in replies[start : start + 64])
        await asyncio.gather(*offers)
    await _until_empty(js)
    lasted = time.monotonic() - began
    async with ledger.begin() as connection:
        stored = (await connection.execute(sa.text("SELECT count(*) FROM answer"))).scalar_one()
    assert stored == count * CELLS, f"{stored} answers stored, {count * CELLS} offered"
    await nc.close()
    await ledger.close()
    return count / lasted


async def _replies(ledger: Ledger, count: int) -> list[bytes]:
    """Replies to batches that are out in a run of the ledger."""
    model = {"engine": "simulated", "model": "sim"}
    wanted = {"name": "sinks", "source": {"inline": ["One?"]}, "models": {"a": model}}
    submitted = await submit(ledger, RunRequest(recipe=Recipe.model_validate(wanted)))
    run = submitted.run_id
    async with ledger.begin() as connection:
        slot = next(each for each in await runs.slots_of(connection, run) if each.alias == "a")
        rows = [list(range(n * CELLS, (n + 1) * CELLS)) for n in range(count)]
        made = [(slot.id, "lane", each) for each in rows]
        ids = await planning.add_batches(connection, run, made)
        await planning.record_published(connection, "epoch", [(each, each) for each in ids])
    return [
        BatchGenerated(
            batch=str(batch), run=run, slot=slot.id, cells=tuple(_cell(row) for row in each)
        ).json()
        for batch, each in zip(ids, rows, strict=True)
    ]


def _cell(row: int) -> GeneratedCell:
    return GeneratedCell(
        row=row,
        sample=0,
        attempt=0,
        last=False,
        digest=f"{row:064x}",
        model="sim",
        usage=Usage(input_tokens=10, output_tokens=200),
        text=f"{row}: " + "an answer of some length. " * 30,
        finish_reason="stop",
    )


async def _until_empty(js: JetStreamContext) -> None:
    while (await js.stream_info(RESULTS_STREAM)).state.messages:  # noqa: ASYNC110 - none tells
        await asyncio.sleep(0.05)

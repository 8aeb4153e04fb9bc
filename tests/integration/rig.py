"""The line without its loops: every step is taken by the test, on real NATS and Postgres."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from prefmill.contracts.api import RunRequest
from prefmill.contracts.channels import WORK
from prefmill.contracts.chat import Failure, Usage
from prefmill.contracts.recipe import Recipe
from prefmill.contracts.results import (
    BatchDied,
    BatchGenerated,
    BatchJudged,
    GeneratedCell,
    JudgedCell,
    Reading,
    Reply,
)
from prefmill.contracts.work import Batch, GenerateBatch, JudgeBatch
from prefmill.coordinator.domain.plan import Plan
from prefmill.coordinator.fleet import Fleet
from prefmill.coordinator.loader import load
from prefmill.coordinator.planner import plan_step
from prefmill.coordinator.publisher import publish_step
from prefmill.coordinator.streams import Streams
from prefmill.coordinator.submission import plan_of, submit
from prefmill.coordinator.windows import Windows
from prefmill.ledger import planning, runs
from prefmill.ledger.database import Ledger
from prefmill.ledger.dead import store_dead
from prefmill.ledger.exports import claim_export, want_export
from prefmill.ledger.results import store_replies
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.topology import Topology
from prefmill.sink.export import Exporter

RECIPE: dict[str, Any] = {
    "name": "rig",
    "source": {"inline": ["one", "two", "three"]},
    "models": {
        "a": {"engine": "simulated", "model": "sim-a"},
        "b": {"engine": "simulated", "model": "sim-b"},
    },
    "judges": {"j": {"engine": "simulated", "model": "sim-j"}},
    "judge": {"rubric": {"ultrafeedback": ["honesty", "helpfulness"]}},
    "limits": {"attempts": 2},
}


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(RECIPE | changes)


def answered(batch: GenerateBatch, rows: Sequence[int] | None = None) -> BatchGenerated:
    """The reply of a generator, to all rows or only some."""
    cells = tuple(
        GeneratedCell(
            row=row.row,
            sample=cell.sample,
            attempt=cell.attempt,
            last=cell.last,
            digest=cell.digest,
            model="sim",
            usage=Usage(input_tokens=10, output_tokens=5),
            text=f"answer of slot {batch.slot} to {row.messages[-1].content}",
            finish_reason="stop",
        )
        for row in batch.rows
        for cell in row.cells
        if rows is None or row.row in rows
    )
    return BatchGenerated(batch=batch.id, run=batch.run, slot=batch.slot, cells=cells)


def judged(batch: JudgeBatch) -> BatchJudged:
    """The reply of a judge: every text gets a 3."""
    cells = tuple(
        JudgedCell(
            row=row.row,
            aspect=cell.aspect,
            sample=cell.sample,
            attempt=cell.attempt,
            last=cell.last,
            digest=cell.digest,
            target=cell.target,
            order=cell.order,
            readings=tuple(Reading(rating=3.0, status="rated") for _ in cell.order),
            usage=Usage(input_tokens=20, output_tokens=10),
        )
        for row in batch.rows
        for cell in row.cells
    )
    return BatchJudged(batch=batch.id, run=batch.run, slot=batch.slot, cells=cells)


def failed(reply: Any, reason: str = "rejected") -> Any:
    """The same reply with every cell a failure of its own."""
    failure = Failure(reason=reason, detail="made up")
    cells = tuple(
        cell.replace(failure=failure, text=None)
        if isinstance(cell, GeneratedCell)
        else cell.replace(failure=failure, readings=())
        for cell in reply.cells
    )
    return reply.replace(cells=cells)


@dataclass
class Rig:
    """A coordinator, a worker and a sink whose steps the test takes."""

    ledger: Ledger
    nc: Client
    streams: Streams
    fleet: Fleet = field(default_factory=Fleet)
    plan: Plan = field(init=False)

    async def submit(self, wanted: Recipe, *, fresh: bool = False) -> Plan:
        """Submit and load a recipe; the plan of its revision."""
        submitted = await submit(self.ledger, RunRequest(recipe=wanted, fresh=fresh))
        async with self.ledger.begin() as connection:
            run = await runs.run_by_id(connection, submitted.run_id)
            assert run is not None
            self.plan = await plan_of(connection, run)
        await self.streams.open(self.plan.lanes.values())
        await load(self.ledger, self.plan)
        return self.plan

    async def step(self, lanes: Sequence[str] | None = None, most: int | None = None) -> int:
        """Plan all there is to plan, then publish `most` calls at most; rows that went out."""
        while await plan_step(self.ledger, self.plan, await self.windows()):
            pass
        names = list(self.plan.lanes) if lanes is None else list(lanes)
        windows = await self.windows()
        return await publish_step(self.ledger, self.nc, self.plan, windows, names, most)

    async def windows(self) -> Windows:
        async with self.ledger.begin() as connection:
            return Windows(await planning.rows_by_lane(connection), self.fleet, 512)

    async def take(self, *, ack: bool = True) -> list[Batch]:
        """All batches that wait on the plan's lanes, as a worker gets them."""
        taken: list[Batch] = []
        for slug, spec in self.plan.lanes.items():
            channel = WORK[spec.kind]
            subscription = await jetstream_of(self.nc).pull_subscribe_bind(
                slug, str(channel.stream)
            )
            while messages := await _fetch(subscription):
                for message in messages:
                    model = channel.message
                    taken.append(model.read(message.data))  # type: ignore[arg-type]
                    if ack:
                        await message.ack_sync()
            await subscription.unsubscribe()
        return taken

    async def store(self, *replies: Reply) -> None:
        """What the sink does with replies."""
        async with self.ledger.begin() as connection:
            await store_replies(connection, replies)

    async def retry(self) -> int:
        """Have all failed cells asked again; how many there were."""
        async with self.ledger.begin() as connection:
            return await runs.forgive(connection, self.plan.run_id)

    async def bury(self, batch: Batch) -> None:
        """What the sink does with a batch that died."""
        kind = "generate" if isinstance(batch, GenerateBatch) else "judge"
        died = BatchDied(
            batch=batch.id,
            subject=f"{kind}.v1.{batch.lane}",
            error="six deliveries",
            deliveries=6,
            payload=batch.json().decode(),
        )
        async with self.ledger.begin() as connection:
            await store_dead(connection, died)

    async def work(self, answer: Callable[[Batch], Reply | None] | None = None) -> int:
        """Plan, publish, answer and store until nothing is left; how many calls were made."""
        calls = 0
        while await self.step():
            for batch in await self.take():
                calls += sum(len(row.cells) for row in batch.rows)  # type: ignore[attr-defined]
                reply = (answer or reply_to)(batch)
                if reply is not None:
                    await self.store(reply)
        return calls

    async def exported(self, exports_dir: Path) -> Path:
        """The folder of a dataset of the run, as the sink writes it."""
        async with self.ledger.begin() as connection:
            await want_export(connection, self.plan.run_id, self.plan.revision, {}, "made")
            export = await claim_export(connection, 60.0)
        assert export is not None
        await Exporter(self.ledger, exports_dir).make(export)
        return exports_dir / "made"

    async def count(self, table: str, where: str = "true") -> int:
        """Rows of a table of the ledger."""
        import sqlalchemy as sa

        async with self.ledger.begin() as connection:
            found = await connection.execute(sa.text(f"SELECT count(*) FROM {table} WHERE {where}"))
            return int(found.scalar_one())


def second_time(batch: Any) -> Reply:
    """The reply of a worker whose first attempts all fail."""
    reply: Any = reply_to(batch)
    return reply if all(cell.attempt for cell in reply.cells) else failed(reply)


def reply_to(batch: Batch) -> Reply:
    """The reply of a worker that answers everything."""
    if isinstance(batch, GenerateBatch):
        return answered(batch)
    assert isinstance(batch, JudgeBatch)
    return judged(batch)


async def _fetch(subscription: Any) -> list[Any]:
    try:
        return await subscription.fetch(100, timeout=0.3)
    except TimeoutError:
        return []


async def make_rig(ledger: Ledger, nc: Client) -> Rig:
    """A rig on an empty ledger and an empty NATS."""
    streams = Streams(nc, ledger, Topology(ack_wait_s=2.0))
    await streams.bootstrap()
    return Rig(ledger, nc, streams)

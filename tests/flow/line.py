"""The coordinator's and the sink's side of the line, for tests of workers."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from nats.aio.client import Client
from nats.aio.msg import Msg

from prefmill.contracts.base import Wire
from prefmill.contracts.chat import Message
from prefmill.contracts.results import BatchDied, BatchGenerated, BatchJudged, Reply
from prefmill.contracts.work import GenerateBatch, GenerateCell, GenerateRow, LaneKind
from prefmill.contracts.workers import (
    BatchesWithdrawn,
    LaneHealth,
    LanesOpened,
    LaneSpec,
    WorkerAnnounced,
)
from prefmill.generator.app import build as build_generator
from prefmill.generator.settings import GeneratorSettings
from prefmill.judge.app import build as build_judge
from prefmill.judge.settings import JudgeSettings
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.topology import open_lane
from prefmill.messaging.work import publish_work

from .conftest import ACK_WAIT_S, TOPOLOGY, Server


def lane(slug: str = "llama", kind: LaneKind = "generate", **options: Any) -> LaneSpec:
    concurrency = options.pop("concurrency", 4)
    return LaneSpec(
        kind=kind,
        slug=slug,
        digest=f"digest-of-{slug}",
        engine="scripted",
        options={"model": slug, **options},
        concurrency=concurrency,
    )


def batch(name: str, *prompts: str, slug: str = "llama", **fields: Any) -> GenerateBatch:
    cell = GenerateCell(sample=0, attempt=0, last=False, seed=1, digest="d")
    rows = tuple(
        GenerateRow(row=row, messages=(Message(role="user", content=prompt),), cells=(cell,))
        for row, prompt in enumerate(prompts)
    )
    values = {"run": 7, "slot": 3, "lane": slug, "lane_digest": f"digest-of-{slug}", **fields}
    return GenerateBatch(id=name, rows=rows, **values)


class Line:
    """Publishes batches and keeps every reply, announcement and dead letter it sees."""

    def __init__(self, nc: Client, server: Server, folder: Path) -> None:
        self.nc = nc
        self.js = jetstream_of(nc)
        self.server = server
        self.folder = folder
        self.replies: list[Reply] = []
        self.dead: list[BatchDied] = []
        self.announced: list[WorkerAnnounced] = []
        self._seen = asyncio.Event()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folders = ""

    async def open(self) -> Self:
        """Listen to all that workers say."""
        tables = {
            "results.v1.generated": (BatchGenerated, self.replies),
            "results.v1.judged": (BatchJudged, self.replies),
            "dead.v1.*": (BatchDied, self.dead),
            "workers.v1": (WorkerAnnounced, self.announced),
        }
        for subject, (message, kept) in tables.items():
            await self.nc.subscribe(subject, cb=self._keep(message, kept))
        return self

    def _keep(self, message: Any, kept: list[Any]) -> Callable[[Msg], Any]:
        reads = message.read if issubclass(message, Wire) else message.model_validate_json

        async def keep(msg: Msg) -> None:
            kept.append(reads(msg.data))
            self._seen.set()

        return keep

    async def until(self, true: Callable[[], Any], seconds: float = 30) -> None:
        """Wait until what was seen makes it true."""
        async with asyncio.timeout(seconds):
            while not true():
                self._seen.clear()
                await self._seen.wait()

    async def opened(self, *specs: LaneSpec, clear: tuple[str, ...] = ()) -> None:
        """Register the lanes, and tell the workers."""
        for spec in specs:
            await open_lane(self.js, spec.kind, spec.slug, TOPOLOGY)
        await self.tell("lanes.v1", LanesOpened(lanes=specs, clear=clear))

    async def tell(self, subject: str, message: LanesOpened | BatchesWithdrawn) -> None:
        await self.nc.publish(subject, message.model_dump_json().encode())
        await self.nc.flush()

    async def publish(self, *batches: Any) -> None:
        for one in batches:
            subject = f"{'generate' if isinstance(one, GenerateBatch) else 'judge'}.v1.{one.lane}"
            await publish_work(self.js, subject, one.json(), one.id)

    def health(self, slug: str = "llama") -> LaneHealth | None:
        """As announced last, by whichever worker."""
        lanes = self.announced[-1].lanes if self.announced else ()
        return next((lane.health for lane in lanes if lane.slug == slug), None)

    async def ready(self, slug: str = "llama") -> None:
        await self.until(lambda: self.health(slug) == "ready")

    async def restart(self) -> None:
        """Kill the server, start it on the same store, and wait until this side is back."""
        before = self.nc.stats["reconnects"]
        self.server.kill()
        self.server.start()
        async with asyncio.timeout(10):
            while self.nc.stats["reconnects"] == before:
                await asyncio.sleep(0.02)

    async def unacked(self, slug: str = "llama", stream: str = "GENERATE") -> int:
        return (await self.js.consumer_info(stream, slug)).num_ack_pending

    async def left(self, stream: str = "GENERATE") -> int:
        return (await self.js.stream_info(stream)).state.messages

    async def emptied(self, stream: str = "GENERATE") -> None:
        """Wait until all work is acknowledged."""
        async with asyncio.timeout(20):
            while await self.left(stream):
                await asyncio.sleep(0.02)

    def reply(self, name: str) -> Reply:
        return next(reply for reply in self.replies if reply.batch == name)

    def texts(self, name: str) -> dict[int, str | None]:
        """Row → text of one batch's replies."""
        return {
            cell.row: cell.text
            for reply in self.replies
            if reply.batch == name and isinstance(reply, BatchGenerated)
            for cell in reply.cells
        }

    @asynccontextmanager
    async def generator(self, *lanes: LaneSpec, **settings: Any) -> Any:
        """A generator in this process."""
        options = {"drain_s": 5.0, "announce_s": 0.2, **settings}
        app = build_generator(
            GeneratorSettings(
                nats_url=self.server.url, ack_wait_s=ACK_WAIT_S, lanes=lanes, **options
            )
        )
        await app.start()
        try:
            yield app
        finally:
            await app.stop()

    @asynccontextmanager
    async def judge(self, *lanes: LaneSpec, **settings: Any) -> Any:
        """A judge in this process."""
        options = {"drain_s": 5.0, "announce_s": 0.2, **settings}
        app = build_judge(
            JudgeSettings(nats_url=self.server.url, ack_wait_s=ACK_WAIT_S, lanes=lanes, **options)
        )
        await app.start()
        try:
            yield app
        finally:
            await app.stop()

    def process(self, *lanes: LaneSpec, **settings: str) -> subprocess.Popen[bytes]:
        """A generator in a process of its own, as a container would start it."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PREFMILL_NATS_URL": self.server.url,
            "PREFMILL_ACK_WAIT_S": str(ACK_WAIT_S),
            "PREFMILL_ANNOUNCE_S": "0.2",
            "PREFMILL_LANES": json.dumps([spec.model_dump() for spec in lanes]),
            **{f"PREFMILL_{name.upper()}": value for name, value in settings.items()},
        }
        command = [sys.executable, "-m", "prefmill.generator.app"]
        self._processes.append(subprocess.Popen(command, env=environment))
        return self._processes[-1]

    async def exited(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a process's exit status."""
        async with asyncio.timeout(30):
            while (status := process.poll()) is None:
                await asyncio.sleep(0.02)
        return status

    def close(self) -> None:
        """Leave no process behind."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

"""A worker: the lanes of one generator or judge process, and what it tells the coordinator.

Comes in: LanesOpened, BatchesWithdrawn, batches. Goes out: replies, WorkerAnnounced.
Never does: know what a cell is; that is the service's `CellWork`.
"""

import asyncio
import importlib.metadata
import logging
import os
import secrets
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Literal

from faststream.nats import NatsBroker
from nats.aio.client import Client

from prefmill.contracts.channels import WORKERS, Channel
from prefmill.contracts.work import LaneKind
from prefmill.contracts.workers import (
    BatchesWithdrawn,
    LanesOpened,
    LaneSpec,
    WorkerAnnounced,
    needs_devices,
)
from prefmill.messaging.cellwork import CellWork
from prefmill.messaging.connection import JETSTREAM_TIMEOUT_S
from prefmill.messaging.engine import Slots
from prefmill.messaging.held import NATS_TROUBLE
from prefmill.messaging.lane import Lane, Surroundings
from prefmill.messaging.process import OwnProcess
from prefmill.messaging.traces import Headers
from prefmill.settings.service import WorkerSettings

log: Final = logging.getLogger("prefmill.worker")

_FETCH_AGE_S: Final = 15.0

ServiceName = Literal["generator", "judge"]
_SERVICE: Final[dict[LaneKind, ServiceName]] = {"generate": "generator", "judge": "judge"}
_JSON: Final[Headers] = {"content-type": "application/json"}


class Worker:
    """Serves lanes over a started broker, from `start` to `drain`."""

    def __init__(
        self,
        work: CellWork,
        settings: WorkerSettings,
        broker: NatsBroker,
        lanes: Iterable[LaneSpec] = (),
        process: OwnProcess | None = None,
    ) -> None:
        self._process = process
        self._work = work
        self._own = (*settings.lanes, *lanes)
        self._settings = settings
        self._broker = broker
        self._service: ServiceName = _SERVICE[work.kind]
        self.name = worker_name(self._service)
        self._version = importlib.metadata.version(f"prefmill-{self._service}")
        self._lanes: dict[str, Lane] = {}
        self._changed = asyncio.Event()
        self._stopping = False
        self._announcing: asyncio.Task[None] | None = None
        self._replacing: set[asyncio.Task[None]] = set()
        self._around: Surroundings | None = None

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """What it serves, for probes and metrics."""
        return tuple(self._lanes.values())

    async def start(self) -> None:
        """Open the lanes of the settings, and announce: the coordinator answers with the others."""
        self._around = Surroundings(
            nc=connection_of(self._broker),
            send=self._send,
            changed=self._changed.set,
            died=self._died,
            own_devices=self._process.guard if self._process else _in_no_process_of_its_own,
            worker=self.name,
            ack_wait_s=self._settings.ack_wait_s,
            permits=self._settings.permits,
        )
        self._open(self._own)
        self._announcing = asyncio.create_task(self._announce_on())

    async def lanes_opened(self, message: LanesOpened) -> None:
        """Open new lanes if this worker hosts any; try those again that are to be cleared."""
        if self._around is None or self._stopping:
            return
        self._open(spec for spec in message.lanes if self._hosts(spec))
        for slug in message.clear:
            if slug in self._lanes:
                self._lanes[slug].clear()

    async def batches_withdrawn(self, message: BatchesWithdrawn) -> None:
        """Drop what has not started of them."""
        for lane in self._lanes.values():
            lane.withdraw(frozenset(message.batches))

    async def drain(self) -> None:
        """Stop fetching, give back, finish or reply in part; calls have `drain_s`."""
        self._stopping = True
        if self._announcing is None:
            return  # told to end while it started
        self._announcing.cancel()
        await self._announce()
        if self._process and any(lane.engine.loading.lasts for lane in self.lanes):
            self._process.abandon()
        await asyncio.gather(*(self._end(lane) for lane in self.lanes))

    def unready(self) -> str:
        """Why it does not take batches, in one line; empty if every lane does."""
        for lane in self.lanes:
            served = lane.served()
            if served.health != "ready":
                return f"lane {served.slug} is {served.health}: {served.detail}"
            if not lane.loop.healthy(_FETCH_AGE_S):
                return f"lane {served.slug} cannot fetch: {lane.loop.trouble or 'not yet'}"
        return "" if self._around is not None else "not started"

    def _open(self, specs: Iterable[LaneSpec]) -> None:
        for spec in specs:
            known = self._lanes.get(spec.slug)
            if spec.kind != self._work.kind or (known and known.spec.digest == spec.digest):
                continue
            if known:
                self._retire(known)
            assert self._around is not None
            most = self._settings.concurrency
            slots = Slots(most or spec.concurrency, most)
            lane = self._lanes[spec.slug] = Lane(spec, self._work, self._around, slots)
            lane.open()
            self._changed.set()

    def _hosts(self, spec: LaneSpec) -> bool:
        """Models that need devices are loaded only where just they are to be."""
        if self._settings.host_any:
            return not needs_devices(spec)
        return spec.slug in self._settings.host_lanes

    def _died(self, detail: str) -> None:
        """The engine's own processes have ended; this one ends too, to be started again."""
        log.error("the engine has died, and the worker ends with it: %s", detail)
        if self._process:
            self._process.died()

    def _retire(self, lane: Lane) -> None:
        """Its options have changed: what runs may end, the new one takes over."""
        task = asyncio.create_task(self._end(lane))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _end(self, lane: Lane) -> None:
        await lane.drain(self._settings.drain_s)
        await lane.close()

    async def _announce_on(self) -> None:
        while True:
            self._changed.clear()
            await self._announce()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.announce_s):
                    await self._changed.wait()

    async def _announce(self) -> None:
        message = WorkerAnnounced(
            worker=self.name,
            service=self._service,
            version=self._version,
            stopping=self._stopping,
            lanes=tuple(lane.served() for lane in self.lanes),
        )
        with suppress(*NATS_TROUBLE):
            await self._broker.publish(
                message.model_dump_json().encode(), WORKERS.subject, headers=dict(_JSON)
            )

    async def _send(self, channel: Channel, message: bytes, headers: Headers) -> None:
        await self._broker.publish(
            message,
            channel.subject,
            headers={**_JSON, **headers},
            stream=channel.stream,
            timeout=JETSTREAM_TIMEOUT_S,
        )


def worker_name(service: str) -> str:
    """A name no other process has."""
    return f"{service}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _in_no_process_of_its_own() -> None:
    """Whoever runs several workers in one process sees to its children."""


def connection_of(broker: NatsBroker) -> Client:
    """The connection of a started broker, for what FastStream has no words for."""
    connection = broker.config.connection_state.connection
    assert isinstance(connection, Client)
    return connection

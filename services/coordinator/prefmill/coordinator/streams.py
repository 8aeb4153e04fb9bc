"""What the coordinator does to the work streams besides publishing: opens lanes, withdraws
batches, and finds those that are lost."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from prefmill.contracts.channels import LANES, WITHDRAWN, WORK
from prefmill.contracts.workers import BatchesWithdrawn, LanesOpened, LaneSpec
from prefmill.ledger import planning
from prefmill.ledger.database import Ledger
from prefmill.ledger.planning import StoredBatch
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.topology import Topology, bootstrap, open_lane
from prefmill.messaging.work import (
    delete_message,
    epoch_of,
    missing_sequences,
    results_drained,
)

log: Final = logging.getLogger("prefmill.coordinator")


class Streams:
    """The work streams, and the lanes opened on them since this process started."""

    def __init__(self, nc: Client, ledger: Ledger, topology: Topology) -> None:
        self._nc = nc
        self._ledger = ledger
        self._topology = topology
        self._opened: set[str] = set()
        self._suspects: dict[int, StoredBatch] = {}

    async def bootstrap(self) -> None:
        """Make what is missing of the streams; lanes are opened anew after it."""
        await bootstrap(jetstream_of(self._nc), self._topology)
        self._opened.clear()

    async def open(self, lanes: Iterable[LaneSpec]) -> None:
        """Make the consumers of lanes not opened yet."""
        for lane in lanes:
            if lane.slug not in self._opened:
                await open_lane(jetstream_of(self._nc), lane.kind, lane.slug, self._topology)
                self._opened.add(lane.slug)

    async def announce(self, lanes: Sequence[LaneSpec], clear: Sequence[str] = ()) -> None:
        """Tell the workers which lanes have work, and which paused ones to try again."""
        opened = LanesOpened(lanes=tuple(lanes), clear=tuple(clear))
        await self._nc.publish(LANES.subject, opened.model_dump_json().encode())

    async def withdraw(self, batches: Sequence[StoredBatch], lanes: Mapping[str, LaneSpec]) -> None:
        """Take batches back that nobody wants any more; those already begun are answered all
        the same."""
        for batch in batches:
            if batch.lane in lanes:
                stream = str(WORK[lanes[batch.lane].kind].stream)
                await delete_message(jetstream_of(self._nc), stream, batch.sequence)
        withdrawn = BatchesWithdrawn(batches=tuple(str(batch.id) for batch in batches))
        await self._nc.publish(WITHDRAWN.subject, withdrawn.model_dump_json().encode())

    async def delivered(
        self, batches: Sequence[StoredBatch], lanes: Mapping[str, LaneSpec]
    ) -> list[StoredBatch]:
        """Those of the batches that a worker has been given, as far as is known."""
        waiting = {batch.id for batch in await self.undelivered(batches, lanes)}
        return [batch for batch in batches if batch.id not in waiting]

    async def undelivered(
        self, batches: Sequence[StoredBatch], lanes: Mapping[str, LaneSpec]
    ) -> list[StoredBatch]:
        """Those of the batches that no worker has been given yet."""
        found: list[StoredBatch] = []
        for lane in {batch.lane for batch in batches} & lanes.keys():
            spec = lanes[lane]
            stream = str(WORK[spec.kind].stream)
            try:
                info = await jetstream_of(self._nc).consumer_info(stream, lane)
            except NotFoundError:
                continue
            delivered = info.delivered.stream_seq if info.delivered else 0
            found += [b for b in batches if b.lane == lane and b.sequence > delivered]
        return found

    async def reconcile(self, lanes: Mapping[str, LaneSpec]) -> list[int]:
        """Find batches that are out in the ledger and gone from their stream, and reopen those
        that are still unanswered after the results have been seen drained: the runs concerned.

        Age is never a reason: a batch may wait for hours for a worker.
        """
        async with self._ledger.begin() as connection:
            published = await planning.published_batches(connection)
        still = {batch.id for batch in published} & self._suspects.keys()
        lost = sorted(still) if still and await results_drained(jetstream_of(self._nc)) else []
        self._suspects = {b.id: b for b in await self._gone(published, lanes)}
        if not lost:
            return []
        log.warning("%d batches were lost with their stream; asking again", len(lost))
        async with self._ledger.begin() as connection:
            return await planning.reopen(connection, lost)

    async def _gone(
        self, published: Sequence[StoredBatch], lanes: Mapping[str, LaneSpec]
    ) -> list[StoredBatch]:
        by_stream: defaultdict[str, list[StoredBatch]] = defaultdict(list)
        for batch in published:
            spec = lanes.get(batch.lane)
            if spec is not None:
                by_stream[str(WORK[spec.kind].stream)].append(batch)
        gone: list[StoredBatch] = []
        for stream, batches in by_stream.items():
            epoch = await epoch_of(jetstream_of(self._nc), stream)
            gone += [batch for batch in batches if batch.epoch != epoch]
            here = {batch.sequence: batch for batch in batches if batch.epoch == epoch}
            gone += [here[seq] for seq in await missing_sequences(self._nc, stream, here)]
        return gone

"""How full the streams are: what the autoscaler reads from the server, asked over the API."""

from dataclasses import dataclass

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from prefmill.contracts.channels import WORK
from prefmill.contracts.work import LaneKind
from prefmill.messaging.topology import RESULTS_STREAM, SINK


@dataclass(frozen=True)
class Queue:
    """Messages of one consumer: not yet given to anybody, and given but not acknowledged. Their
    sum is the lag that the autoscaler goes by."""

    waiting: int
    delivered: int


@dataclass(frozen=True)
class Stored:
    """What a stream holds."""

    messages: int
    bytes: int


async def lane_queue(js: JetStreamContext, kind: LaneKind, slug: str) -> Queue | None:
    """The queue of a lane; None if it has not been opened. Raises as JetStreamContext does."""
    return await _queue(js, str(WORK[kind].stream), slug)


async def results_queue(js: JetStreamContext) -> Queue | None:
    """The replies that no sink has stored yet."""
    return await _queue(js, RESULTS_STREAM, SINK)


async def streams(js: JetStreamContext) -> dict[str, Stored]:
    """What every stream holds, by name."""
    return {
        str(info.config.name): Stored(info.state.messages, info.state.bytes)
        for info in await js.streams_info()
    }


async def _queue(js: JetStreamContext, stream: str, consumer: str) -> Queue | None:
    try:
        info = await js.consumer_info(stream, consumer)
    except NotFoundError:
        return None
    return Queue(info.num_pending or 0, info.num_ack_pending or 0)

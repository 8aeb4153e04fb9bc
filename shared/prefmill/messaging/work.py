"""What the coordinator asks of the work streams: publish, look, withdraw, purge."""

import asyncio
import json
from collections.abc import Collection
from typing import Final

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError

from prefmill.contracts.channels import GENERATE, JUDGE
from prefmill.messaging.connection import JETSTREAM_TIMEOUT_S, jetstream_of
from prefmill.messaging.topology import RESULTS_STREAM, SINK
from prefmill.messaging.traces import NOWHERE, Headers

_NO_SUCH_MESSAGE: Final = (10037, 10057)
"""What the server's API calls it: no message found, message delete failed."""

WORK_STREAMS: Final = (str(GENERATE.stream), str(JUDGE.stream))


async def publish_work(
    js: JetStreamContext, subject: str, batch: bytes, msg_id: str, headers: Headers = NOWHERE
) -> tuple[int, bool]:
    """Publish a batch, JSON of its model; returns its stream sequence, and whether the server
    knew `msg_id` already.

    `msg_id` is the batch's id and publication number. Raises as JetStreamContext.publish; with
    the same `msg_id` it may be tried again.
    """
    stream = next(c for c in (GENERATE, JUDGE) if subject.startswith(c.subject)).stream
    ack = await js.publish(
        subject,
        batch,
        timeout=JETSTREAM_TIMEOUT_S,
        stream=stream,
        headers={Header.MSG_ID.value: msg_id, **headers},
    )
    return ack.seq, bool(ack.duplicate)


async def epoch_of(js: JetStreamContext, stream: str) -> str:
    """When the stream was created: another answer means that it was re-created, and that the
    recorded sequences mean nothing any more. Raises NotFoundError if it is missing."""
    return str((await js.stream_info(stream)).created)


async def delete_message(js: JetStreamContext, stream: str, sequence: int) -> bool:
    """Take a message out of a stream; False if it was there no more."""
    try:
        return await js.delete_msg(stream, sequence)
    except APIError as error:
        if error.err_code in _NO_SUCH_MESSAGE:
            return False
        raise


async def missing_sequences(
    nc: Client, stream: str, sequences: Collection[int], *, most_details: int = 20_000
) -> set[int]:
    """Which of the sequences are no longer in the stream (acknowledged, deleted, purged). With
    more gaps in the stream than `most_details`, messages are asked for one by one."""
    js = jetstream_of(nc)
    state = (await js.stream_info(stream)).state
    within = {seq for seq in sequences if state.first_seq <= seq <= state.last_seq}
    outside = set(sequences) - within
    if not within or not state.num_deleted:
        return outside
    if state.num_deleted <= most_details:
        return outside | (within & await _gaps(nc, stream))
    present = await asyncio.gather(*(_has(js, stream, seq) for seq in within))
    return outside | {seq for seq, here in zip(within, present, strict=True) if not here}


async def results_drained(js: JetStreamContext) -> bool:
    """Whether every result published so far is stored: the stream is empty, nothing in hand."""
    if (await js.stream_info(RESULTS_STREAM)).state.messages:
        return False
    sink = await js.consumer_info(RESULTS_STREAM, SINK)
    return not sink.num_pending and not sink.num_ack_pending


async def purge_work(js: JetStreamContext) -> None:
    """Empty the work streams: for a start at which nothing can be in any worker's hand."""
    for stream in WORK_STREAMS:
        await js.purge_stream(stream)


async def _gaps(nc: Client, stream: str) -> set[int]:
    """Sequences between first and last that are gone. nats-py has no option for the details."""
    answer = await nc.request(
        f"$JS.API.STREAM.INFO.{stream}",
        json.dumps({"deleted_details": True}).encode(),
        timeout=JETSTREAM_TIMEOUT_S,
    )
    state: dict[str, list[int]] = json.loads(answer.data).get("state", {})
    return set(state.get("deleted") or ())


async def _has(js: JetStreamContext, stream: str, sequence: int) -> bool:
    try:
        await js.get_msg(stream, sequence)
    except NotFoundError:
        return False
    return True

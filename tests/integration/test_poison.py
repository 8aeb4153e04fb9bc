"""A message that breaks the sink's transaction is buried alone, and comes back no more."""

from typing import Any

import pytest

from prefmill.contracts.channels import GENERATED, JUDGED
from prefmill.contracts.results import BatchDied, Reply
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.held import Held
from prefmill.messaging.topology import DEAD_STREAM, RESULTS_STREAM, SINK
from prefmill.sink.handlers import Handlers

from .rig import Rig, recipe, reply_to


def kept(held: Held, *, answered: bool = False) -> None:
    """No loop is told of a message that is settled."""


async def in_hand(rig: Rig, stream: str, count: int) -> list[Held]:
    js = jetstream_of(rig.nc)
    subscription = await js.pull_subscribe_bind(SINK, stream)
    return [Held(rig.nc, m, kept) for m in await subscription.fetch(count, timeout=5)]


async def left(rig: Rig, stream: str) -> int:
    """Messages that the sink has not settled."""
    found = await jetstream_of(rig.nc).consumer_info(stream, SINK)
    return (found.num_pending or 0) + (found.num_ack_pending or 0)


async def sent(rig: Rig, *replies: Reply) -> None:
    for reply in replies:
        channel = GENERATED if reply.slot in rig.plan.desired.models.values() else JUDGED
        body = reply.json()
        await jetstream_of(rig.nc).publish(channel.subject, body)


def spoiled(reply: Any, **fields: Any) -> Any:
    """The same reply with something wrong in its first cell."""
    first = reply.cells[0].replace(**fields)
    return reply.replace(cells=(first, *reply.cells[1:]))


@pytest.mark.parametrize("wrong", [{"digest": "no hex"}, {"row": 2**70}, {"text": "a\0b"}])
async def test_of_many_replies_only_the_one_that_cannot_be_stored_is_buried(
    rig: Rig, wrong: dict[str, Any]
) -> None:
    await rig.submit(recipe())
    await rig.step()
    good, bad = (reply_to(batch) for batch in await rig.take())
    await sent(rig, good, spoiled(bad, **wrong), good)
    handlers = Handlers(rig.ledger)
    await handlers.replies(await in_hand(rig, RESULTS_STREAM, 3))
    assert await left(rig, RESULTS_STREAM) == 0
    assert await rig.count("answer") == 3
    await handlers.died(await in_hand(rig, DEAD_STREAM, 3))
    assert await left(rig, DEAD_STREAM) == 0
    assert await rig.count("dead") == 1
    await rig.work()
    assert await rig.count("answer") == 6, "its rows are asked again"


async def test_a_dead_batch_that_cannot_be_recorded_comes_back_no_more(rig: Rig) -> None:
    died = BatchDied(batch=str(2**70), subject="judge.v1.x", error="e", payload="{")
    await jetstream_of(rig.nc).publish("dead.v1.judge", died.json())
    await Handlers(rig.ledger).died(await in_hand(rig, DEAD_STREAM, 1))
    assert await left(rig, DEAD_STREAM) == 0

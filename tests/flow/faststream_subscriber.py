"""What FastStream's own subscriber does on a real server; prints figures as JSON.

`PullSub(1)` with as many workers as batches, acknowledgement by hand, heartbeats in the handler:
the best that can be had of it. A program of its own, as it leaves streams unclosed behind.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

from faststream.middlewares import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.js import JetStreamContext

from prefmill.messaging.connection import connect, jetstream_of
from prefmill.messaging.topology import Topology, open_lane

WORKERS = 2
MESSAGES = 12


class Subscriber:
    """A subscriber whose handler takes `seconds` for a message, and beats meanwhile."""

    def __init__(self, url: str, lane: str, seconds: float, ack_wait: float) -> None:
        self.seconds = seconds
        self.ack_wait = ack_wait
        self.started: Counter[bytes] = Counter()
        self.broker = NatsBroker(url, logger=None, graceful_timeout=10)
        self.broker.subscriber(
            f"generate.v1.{lane}",
            stream=JStream("GENERATE", declare=False),
            durable=lane,
            pull_sub=PullSub(1, timeout=1),
            max_workers=WORKERS,
            ack_policy=AckPolicy.MANUAL,
        )(self.handle)

    async def handle(self, message: NatsMessage) -> None:
        self.started[message.body] += 1
        beating = asyncio.create_task(self._beat(message))
        await asyncio.sleep(self.seconds)
        beating.cancel()
        await message.ack()

    async def _beat(self, message: NatsMessage) -> None:
        while True:
            await asyncio.sleep(self.ack_wait / 3)
            await message.raw_message.in_progress()


async def unacked(js: JetStreamContext, lane: str) -> int:
    return (await js.consumer_info("GENERATE", lane)).num_ack_pending


async def most_held(js: JetStreamContext, url: str, ack_wait: float) -> dict[str, Any]:
    """How many messages are held at once, and how many stay so after an orderly stop."""
    subscriber = Subscriber(url, "held", 0.5, ack_wait)
    await subscriber.broker.start()
    most = 0
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        most = max(most, await unacked(js, "held"))
        await asyncio.sleep(0.01)
    await subscriber.broker.stop()
    return {"most_unacked": most, "unacked_after_stop": await unacked(js, "held")}


async def handled_twice(js: JetStreamContext, url: str, ack_wait: float) -> dict[str, Any]:
    """How many messages are handled again though their holder lives: none beats for those that
    wait in FastStream's buffer."""
    subscriber = Subscriber(url, "twice", ack_wait * 1.4, ack_wait)
    await subscriber.broker.start()
    await asyncio.sleep(ack_wait * 7)
    twice = sum(1 for times in subscriber.started.values() if times > 1)
    started = len(subscriber.started)
    await subscriber.broker.stop()
    return {"handled": started, "handled_twice": twice}


async def deleted(js: JetStreamContext, url: str, ack_wait: float) -> dict[str, Any]:
    """What the broker says of itself when its consumer is gone."""
    subscriber = Subscriber(url, "deleted", 0, ack_wait)
    await subscriber.broker.start()
    await js.delete_consumer("GENERATE", "deleted")
    await asyncio.sleep(1.5)
    ping = await subscriber.broker.ping(timeout=1)
    await subscriber.broker.stop()
    return {"ping_without_consumer": ping}


async def main(url: str, ack_wait: float) -> None:
    nc = await connect(url, "measure")
    js = jetstream_of(nc)
    for lane in ("held", "twice", "deleted"):
        await open_lane(js, "generate", lane, Topology(ack_wait_s=ack_wait))
        for number in range(MESSAGES):
            await js.publish(f"generate.v1.{lane}", b"%d" % number, stream="GENERATE")
    figures: dict[str, Any] = {"workers": WORKERS}
    for measure in (most_held, handled_twice, deleted):
        figures |= await measure(js, url, ack_wait)
    await nc.close()
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))

"""The pull loop on a real nats-server: every promise of DESIGN §4 that is the loop's own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import pytest_asyncio
from nats.aio.client import Client

from prefmill.contracts.results import BatchDied
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.held import Held
from prefmill.messaging.pull import PullLoop
from prefmill.messaging.topology import Topology, open_lane

from .conftest import ACK_WAIT_S, TOPOLOGY, Server

LANE = "generate.v1.llama"


class Hand:
    """A handler that keeps what it is given, with room for as many as it is told."""

    def __init__(self, nc: Client, room: int = 1, **options: float) -> None:
        self.room = room
        self.groups: list[list[Held]] = []
        self.came = asyncio.Event()
        self.loop = PullLoop(
            nc, "GENERATE", "llama", self._free, self._take, ack_wait=ACK_WAIT_S, **options
        )
        self.task = asyncio.create_task(self.loop.run())

    @property
    def got(self) -> list[Held]:
        return [held for group in self.groups for held in group]

    def _free(self) -> int:
        return self.room - self.loop.held

    async def _take(self, group: Sequence[Held]) -> None:
        self.groups.append(list(group))
        self.came.set()

    async def take(self, count: int) -> list[Held]:
        """Wait until so many have come in all."""
        async with asyncio.timeout(20):
            while len(self.got) < count:
                self.came.clear()
                await self.came.wait()
        return self.got


@pytest_asyncio.fixture
async def lane(nc: Client) -> Client:
    await open_lane(jetstream_of(nc), "generate", "llama", TOPOLOGY)
    return nc


@pytest_asyncio.fixture
async def hands(lane: Client) -> AsyncIterator[Callable[..., Hand]]:
    made: list[Hand] = []

    def make(room: int = 1, **options: float) -> Hand:
        made.append(Hand(lane, room, **options))
        return made[-1]

    yield make
    for hand in made:
        hand.task.cancel()
    await asyncio.gather(*(hand.task for hand in made), return_exceptions=True)


async def publish(nc: Client, *texts: str) -> None:
    for text in texts:
        await jetstream_of(nc).publish(LANE, text.encode(), stream="GENERATE")


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


async def left(nc: Client) -> int:
    return (await jetstream_of(nc).stream_info("GENERATE")).state.messages


async def unacked(nc: Client) -> int:
    return (await jetstream_of(nc).consumer_info("GENERATE", "llama")).num_ack_pending


async def test_a_message_that_is_done_has_left_the_stream_when_done_returns(
    lane: Client, hands: Callable[..., Hand]
) -> None:
    await publish(lane, "a")
    (held,) = await hands().take(1)
    assert (held.data, held.deliveries, held.subject) == (b"a", 1, LANE)
    await held.done()
    assert await left(lane) == 0


async def test_no_more_is_fetched_than_there_is_room_for(
    lane: Client, hands: Callable[..., Hand]
) -> None:
    await publish(lane, *"abcdef")
    hand = hands(room=2)
    await hand.take(2)
    assert await unacked(lane) == 2
    await hand.got[0].done()
    await hand.take(3)
    assert await unacked(lane) == 2


async def test_a_group_holds_what_came_while_the_loop_lingered(
    lane: Client, hands: Callable[..., Hand]
) -> None:
    await publish(lane, *"abcdefgh")
    hand = hands(room=64, linger=0.2)
    await hand.take(8)
    assert len(hand.groups) == 1


async def test_heartbeats_keep_a_slow_message_from_coming_again(
    lane: Client, hands: Callable[..., Hand]
) -> None:
    await publish(lane, "slow")
    holder, other = hands(), hands()
    await until(lambda: len(holder.got) + len(other.got) == 1)
    await asyncio.sleep(ACK_WAIT_S * 2)
    assert len(holder.got) + len(other.got) == 1
    assert await unacked(lane) == 1


async def test_a_message_whose_holder_died_comes_to_another(
    lane: Client, hands: Callable[..., Hand], server: Server
) -> None:
    await publish(lane, "a")
    dying = hands()
    await dying.take(1)
    dying.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await dying.task
    (held,) = await hands().take(1)
    assert held.deliveries == 2


async def test_what_is_given_back_comes_to_another_at_once(
    lane: Client, hands: Callable[..., Hand]
) -> None:
    await publish(lane, "a")
    first = hands()
    (held,) = await first.take(1)
    await first.loop.stop()
    await held.give_back()
    async with asyncio.timeout(ACK_WAIT_S / 2):
        (again,) = await hands().take(1)
    assert again.deliveries == 2


async def test_a_delay_holds_back_what_is_given_back(
    lane: Client, hands: Callable[..., Hand]
) -> None:
    await publish(lane, "a")
    hand = hands()
    (held,) = await hand.take(1)
    start = asyncio.get_running_loop().time()
    await held.give_back(delay=0.5)
    await hand.take(2)
    assert asyncio.get_running_loop().time() - start >= 0.45


async def test_a_batch_delivered_for_the_sixth_time_is_buried(
    lane: Client, hands: Callable[..., Hand]
) -> None:
    await publish(lane, '{"id": "b1", "rows": []}')
    hand = hands()
    for delivery in range(1, 6):
        held = (await hand.take(delivery))[-1]
        assert held.deliveries == delivery
        await held.give_back()
    js = jetstream_of(lane)
    async with asyncio.timeout(10):
        while not (await js.stream_info("DEAD")).state.messages:
            await asyncio.sleep(0.01)
    letter = await js.get_last_msg("DEAD", "dead.v1.generate")
    died = BatchDied.read(letter.data or b"")
    assert (died.batch, died.subject, died.deliveries) == ("b1", LANE, 6)
    assert died.payload == '{"id": "b1", "rows": []}'
    await until(lambda: hand.loop.held == 0)
    assert await left(lane) == 0
    assert len(hand.got) == 5


async def test_a_handler_that_fails_gives_its_messages_back(
    lane: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await publish(lane, "a")
    seen: list[int] = []

    async def fail(group: Sequence[Held]) -> None:
        seen.append(group[0].deliveries)
        if len(seen) == 1:
            raise ValueError("once")
        await group[0].done()

    loop = PullLoop(lane, "GENERATE", "llama", lambda: 1, fail, ack_wait=ACK_WAIT_S)
    task = asyncio.create_task(loop.run())
    await until(lambda: len(seen) == 2)
    await loop.stop()
    await task
    assert seen == [1, 2]
    assert "the handler failed" in caplog.text


async def test_stop_gives_back_what_was_delivered_and_not_handed_on(
    lane: Client, hands: Callable[..., Hand]
) -> None:
    await publish(lane, *"abcd")
    hand = hands(room=8, linger=2.0)
    async with asyncio.timeout(5):
        while await unacked(lane) < 4:
            await asyncio.sleep(0.01)
    await hand.loop.stop()
    async with asyncio.timeout(ACK_WAIT_S / 2):
        taken = await hands(room=4).take(4)
    assert {held.deliveries for held in taken} == {2}


async def test_a_deleted_consumer_is_noticed_and_its_return_too(
    lane: Client, hands: Callable[..., Hand]
) -> None:
    js = jetstream_of(lane)
    hand = hands()
    await until(lambda: hand.loop.healthy(5))
    await js.delete_consumer("GENERATE", "llama")
    await until(lambda: not hand.loop.healthy(5))
    assert hand.loop.trouble
    await open_lane(js, "generate", "llama", TOPOLOGY)
    await publish(lane, "a")
    await hand.take(1)
    assert hand.loop.healthy(5)


async def test_a_consumer_that_is_not_there_is_asked_for_a_few_times_a_second_at_most(
    nc: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async def never(group: Sequence[Held]) -> None:
        raise AssertionError(group)

    loop = PullLoop(nc, "GENERATE", "nobody", lambda: 1, never, ack_wait=ACK_WAIT_S)
    before = nc.stats["out_msgs"]
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(1.5)
    assert nc.stats["out_msgs"] - before < 10
    assert len([record for record in caplog.records if "nobody" in record.message]) == 1
    await loop.stop()
    await task


async def test_a_killed_server_loses_nothing_and_nothing_in_hand_comes_twice(
    lane: Client, hands: Callable[..., Hand], server: Server
) -> None:
    await publish(lane, *"abc")
    hand = hands(room=2)
    await hand.take(2)
    server.kill()
    await asyncio.sleep(ACK_WAIT_S)
    server.start()
    await asyncio.gather(*(held.done() for held in list(hand.got)))
    await hand.take(3)
    await hand.got[-1].done()
    assert [held.data for held in hand.got] == [b"a", b"b", b"c"]
    assert await left(lane) == 0


async def test_work_flows_again_soon_after_a_restart_of_the_server(
    lane: Client, hands: Callable[..., Hand], server: Server
) -> None:
    hand = hands()
    await until(lambda: hand.loop.healthy(5))
    server.kill()
    server.start()
    async with asyncio.timeout(5):
        await until(lambda: lane.stats["reconnects"] > 0)
        await publish(lane, "after")
        await hand.take(1)


async def test_a_message_answered_while_the_server_was_away_is_acknowledged_unseen(
    lane: Client, hands: Callable[..., Hand], server: Server
) -> None:
    await publish(lane, "a")
    hand = hands(ack_tries=1)
    (held,) = await hand.take(1)
    server.kill()
    await held.done()
    server.start()
    async with asyncio.timeout(10):
        while await left(lane):
            await asyncio.sleep(0.05)
    assert len(hand.got) == 1


def test_a_topology_has_an_ack_wait_and_one_replica_by_default() -> None:
    assert (Topology().ack_wait_s, Topology().replicas) == (60.0, 1)

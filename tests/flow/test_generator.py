"""The generator on a real nats-server, in this process and in its own."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from nats.aio.client import Client

from prefmill.contracts.results import BatchGenerated
from prefmill.contracts.workers import BatchesWithdrawn

from .conftest import ACK_WAIT_S, Server
from .line import Line, batch, lane


@pytest_asyncio.fixture
async def line(nc: Client, server: Server, tmp_path: Path) -> AsyncIterator[Line]:
    line = await Line(nc, server, tmp_path).open()
    yield line
    line.close()


async def test_every_cell_of_a_batch_is_answered_under_the_keys_it_came_with(line: Line) -> None:
    async with line.generator(host_any=True):
        await line.opened(lane())
        await line.publish(batch("b1", "one", "two", "reject"))
        await line.until(lambda: line.replies)
        await line.emptied()
    (reply,) = line.replies
    assert isinstance(reply, BatchGenerated)
    assert (reply.run, reply.slot, reply.final, reply.problem) == (7, 3, True, None)
    assert line.texts("b1") == {0: "echo one", 1: "echo two", 2: None}
    failed = next(cell for cell in reply.cells if cell.row == 2)
    assert failed.failure
    assert failed.failure.reason == "rejected"


async def test_a_worker_announces_itself_before_it_knows_a_lane(line: Line) -> None:
    async with line.generator(host_any=True):
        await line.until(lambda: line.announced)
        assert line.announced[0].lanes == ()
        await line.opened(lane())
        await line.ready()
    assert line.announced[-1].stopping


async def test_a_worker_with_lanes_of_its_own_opens_no_others(line: Line) -> None:
    async with line.generator(lane("mine")):
        await line.opened(lane("mine"), lane("other"))
        await line.ready("mine")
        await line.publish(batch("b1", "hello", slug="mine"))
        await line.until(lambda: line.replies)
        assert {served.slug for served in line.announced[-1].lanes} == {"mine"}


async def test_a_slow_cell_holds_up_no_other_batch(line: Line) -> None:
    async with line.generator(lane(concurrency=2)):
        await line.opened(lane())
        quick = [batch(f"quick-{n}", "a", "b", "c") for n in range(5)]
        await line.publish(batch("slow", "x", "sleep 3"), *quick)
        await line.until(lambda: len(line.replies) == 5)
        assert "slow" not in {reply.batch for reply in line.replies}
        await line.until(lambda: len(line.replies) == 6)


async def test_at_most_one_batch_is_held_beyond_the_free_slots(line: Line) -> None:
    held: set[int] = set()
    async with line.generator(lane(concurrency=4), drain_s=0.0):
        await line.opened(lane())
        await line.publish(*(batch(f"b{n}", "sleep 60", "sleep 60") for n in range(6)))
        await line.until(lambda: any(lane.busy == 4 for lane in line.announced[-1].lanes))
        async with asyncio.timeout(10):
            while await line.unacked() < 3:
                await asyncio.sleep(0.01)
        for _ in range(25):
            held.add(await line.unacked())
            await asyncio.sleep(0.02)
    assert held == {3}, "two that fill the four slots, and one in reserve"


async def test_heartbeats_keep_a_batch_that_takes_longer_than_the_ack_wait(line: Line) -> None:
    async with line.generator(lane()), line.generator(lane()):
        await line.opened(lane())
        await line.publish(batch("slow", f"sleep {ACK_WAIT_S * 2.5}"))
        await line.until(lambda: line.replies)
        await line.emptied()
    assert [reply.batch for reply in line.replies] == ["slow"]


async def test_a_batch_for_another_digest_is_refused_and_the_refusal_announced(line: Line) -> None:
    async with line.generator(lane()):
        await line.opened(lane())
        await line.ready()
        await line.publish(batch("b1", "hello", lane_digest="of another revision"))
        await line.until(lambda: line.health() == "unusable")
        detail = line.announced[-1].lanes[0].detail
        assert "of another" in detail
        assert "digest-of-ll" in detail
        assert await line.left() == 1
    assert not line.replies


async def test_what_is_withdrawn_is_dropped_unless_it_has_started(line: Line) -> None:
    async with line.generator(lane(concurrency=1)):
        await line.opened(lane())
        await line.publish(batch("started", "sleep 1"), batch("waiting", "hello"))
        async with asyncio.timeout(10):
            while await line.unacked() < 2:
                await asyncio.sleep(0.01)
        await line.tell("withdrawn.v1", BatchesWithdrawn(batches=("started", "waiting")))
        await line.emptied()
    assert [reply.batch for reply in line.replies] == ["started"]


async def test_a_lane_that_goes_down_replies_in_part_and_goes_on_when_it_is_cleared(
    line: Line,
) -> None:
    broken = line.folder / "broken"
    spec = lane(broken=str(broken), concurrency=2)
    async with line.generator(spec):
        await line.opened(spec)
        await line.ready()
        await line.publish(batch("b1", "hello", "sleep 0.5", "sleep 0.5", "hello", "hello"))
        await line.publish(batch("b2", "hello"))
        await line.until(lambda: any(lane.busy == 2 for lane in line.announced[-1].lanes))
        broken.touch()
        await line.until(lambda: line.health() == "unusable")
        await line.until(lambda: line.replies)
        part = line.reply("b1")
        assert part.problem
        assert (part.problem.reason, part.problem.detail) == ("unusable", "the key is wrong")
        assert part.final
        assert 0 in line.texts("b1")
        assert len(line.texts("b1")) < 5
        broken.unlink()
        await line.opened(spec, clear=("llama",))
        await line.until(lambda: line.texts("b2") == {0: "echo hello"})
        assert line.health() == "ready"


async def test_a_lane_whose_key_is_wrong_from_the_start_takes_nothing(line: Line) -> None:
    broken = line.folder / "broken"
    broken.touch()
    spec = lane(broken=str(broken))
    async with line.generator(host_any=True):
        await line.opened(spec)
        await line.publish(batch("b1", "hello"))
        await line.until(lambda: line.health() == "unusable")
        assert line.announced[-1].lanes[0].detail == "the key is wrong"
        assert await line.unacked() == 0


async def test_a_lane_of_an_unknown_engine_says_what_there_is(line: Line) -> None:
    spec = lane().model_copy(update={"engine": "scripte"})
    async with line.generator(host_any=True):
        await line.opened(spec)
        await line.until(lambda: line.health() == "unusable")
        assert line.announced[-1].lanes[0].detail.endswith("did you mean 'scripted'?")


async def test_a_lane_with_other_options_takes_over_from_the_one_it_replaces(line: Line) -> None:
    async with line.generator(host_any=True):
        await line.opened(lane())
        await line.ready()
        newer = lane().model_copy(update={"digest": "newer"})
        await line.opened(newer)
        await line.publish(batch("b1", "hello", lane_digest="newer"))
        await line.until(lambda: line.replies)
    assert line.texts("b1") == {0: "echo hello"}


async def test_what_is_no_batch_is_buried_and_the_rest_goes_on(line: Line) -> None:
    async with line.generator(lane()):
        await line.opened(lane())
        await line.js.publish("generate.v1.llama", b'{"id": "b0", "rows": 5}', stream="GENERATE")
        await line.publish(batch("b1", "hello"))
        await line.until(lambda: line.dead and line.replies)
        await line.emptied()
    (died,) = line.dead
    assert (died.batch, died.deliveries) == ("b0", 1)
    assert died.error.startswith("not a GenerateBatch: ")


async def test_a_reply_too_large_for_a_message_comes_in_parts(line: Line) -> None:
    async with line.generator(lane(concurrency=8)):
        await line.opened(lane())
        await line.publish(batch("b1", *["big 400000"] * 5))
        await line.until(lambda: any(reply.final for reply in line.replies))
        await line.emptied()
    assert [reply.final for reply in line.replies] == [False, False, True]
    assert sorted(line.texts("b1")) == [0, 1, 2, 3, 4]


async def test_a_restart_of_the_server_costs_no_call_and_no_answer(line: Line) -> None:
    log = line.folder / "calls"
    spec = lane(log=str(log))
    async with line.generator(spec):
        await line.opened(spec)
        await line.publish(*(batch(f"b{n}", f"sleep 0.{n}", "hello") for n in range(1, 6)))
        await line.until(lambda: line.replies)
        await line.restart()
        await line.emptied()
    assert len(log.read_text().splitlines()) == 10


async def test_sigterm_gives_back_what_has_not_started_and_finishes_what_has(line: Line) -> None:
    process = line.process(lane(concurrency=1))
    await line.opened(lane())
    await line.publish(batch("started", "sleep 1.2", "hello"), batch("waiting", "hello"))
    async with asyncio.timeout(20):
        while await line.unacked() < 2:
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    async with line.generator(lane()):
        await line.until(lambda: line.texts("waiting"), ACK_WAIT_S)
        assert not line.texts("started"), "the other came first: it was given back at once"
    assert await line.exited(process) == 0
    await line.until(lambda: line.texts("started"))
    assert line.texts("started") == {0: "echo sleep 1.2"}
    assert line.reply("started").final
    assert await line.left() == 0


async def test_sigterm_with_a_deadline_replies_with_what_is_there(line: Line) -> None:
    process = line.process(lane(concurrency=2), drain_s="0.3")
    await line.opened(lane())
    await line.publish(batch("b1", "hello", "sleep 60", "sleep 60", "hello"))
    await line.until(lambda: any(lane.busy == 2 for a in line.announced for lane in a.lanes))
    process.send_signal(signal.SIGTERM)
    assert await line.exited(process) == 0
    await line.until(lambda: line.replies)
    assert line.texts("b1") == {0: "echo hello"}
    assert await line.left() == 0


async def test_what_a_killed_worker_held_is_answered_by_another(line: Line) -> None:
    process = line.process(lane())
    await line.opened(lane())
    await line.publish(batch("b1", "sleep 5", "hello"))
    await line.until(lambda: any(lane.busy for a in line.announced for lane in a.lanes))
    process.kill()
    await line.exited(process)
    async with line.generator(lane()):
        await line.until(lambda: line.replies)
        await line.emptied()
    assert sorted(line.texts("b1")) == [0, 1]

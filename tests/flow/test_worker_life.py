"""How a worker ends, is watched, and shares a limit with others."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest_asyncio
from nats.aio.client import Client

from prefmill.engines.permits import Permits

from .conftest import Server
from .line import Line, batch, lane


@pytest_asyncio.fixture
async def line(nc: Client, server: Server, tmp_path: Path) -> AsyncIterator[Line]:
    line = await Line(nc, server, tmp_path).open()
    yield line
    line.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def deliver(line: Line, times: int) -> None:
    """Have the first batch of the lane delivered so often, by one who gives it back each time,
    the last time for a second."""
    subscription = await line.js.pull_subscribe_bind("llama", "GENERATE")
    for turn in range(times):
        (message,) = await subscription.fetch(1)
        await message.nak(delay=1 if turn == times - 1 else None)
    await subscription.unsubscribe()


async def test_no_orderly_return_makes_a_batch_look_like_one_that_kills_its_worker(
    line: Line,
) -> None:
    await line.opened(lane())
    await line.publish(batch("often", "hello"))
    await deliver(line, 4)
    async with line.generator(lane(concurrency=1)):
        await line.publish(batch("running", "sleep 2.5"))
        async with asyncio.timeout(10):
            while (await line.js.consumer_info("GENERATE", "llama")).delivered.consumer_seq < 6:
                await asyncio.sleep(0.01)
    await line.until(lambda: len(line.replies) == 2)
    assert line.texts("running") == {0: "echo sleep 2.5"}
    assert line.texts("often") == {}, "answered with no cells: they are simply wanted again"
    assert line.reply("often").final
    assert await line.left() == 0
    assert not line.dead


async def test_calls_that_wait_for_a_shared_permit_do_not_begin_once_the_worker_stops(
    line: Line,
) -> None:
    log = line.folder / "calls"
    permits = Permits.create(1, 1)
    async with line.generator(lane(log=str(log)), permits=permits):
        await line.opened(lane())
        await line.publish(batch("b1", "sleep 1", "sleep 1", "sleep 1"))
        await line.until(lambda: any(served.busy for served in line.announced[-1].lanes))
        assert {lane.busy for seen in line.announced for lane in seen.lanes} == {0, 1}
        async with asyncio.timeout(10):
            while not log.exists():
                await asyncio.sleep(0.01)
    assert line.texts("b1") == {0: "echo sleep 1"}
    assert log.read_text() == "sleep 1\n"
    assert permits.free() == 1
    permits.close()


async def test_a_call_that_waits_for_a_busy_server_does_not_delay_the_end(line: Line) -> None:
    log = line.folder / "calls"
    await line.opened(lane())
    async with asyncio.timeout(20):
        async with line.generator(lane(log=str(log)), drain_s=60.0):
            await line.publish(batch("b1", "hello", "wait 120"))
            while not log.exists() or "wait 120" not in log.read_text():
                await asyncio.sleep(0.01)
    await line.until(lambda: line.replies)
    assert line.texts("b1") == {0: "echo hello"}
    assert await line.left() == 0


async def test_a_call_that_was_refused_and_waits_leaves_its_slot_to_the_next(line: Line) -> None:
    await line.opened(lane(concurrency=1))
    async with line.generator(lane(concurrency=1)):
        await line.publish(batch("b1", "wait 120", "hello", "hello again"))
        await line.publish(batch("b2", "and on"))
        await line.until(lambda: line.replies)
        assert line.texts("b2") == {0: "echo and on"}
    assert line.texts("b1") == {1: "echo hello", 2: "echo hello again"}


async def test_probes_tell_a_worker_that_waits_for_its_lane_from_one_that_serves(
    line: Line,
) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    async with line.generator(lane(), probe_port=port), aiohttp.ClientSession(base) as http:
        assert (await http.get("/healthz")).status == 200
        async with asyncio.timeout(10):
            while "cannot fetch" not in await (await http.get("/readyz")).text():
                await asyncio.sleep(0.05)
        await line.opened(lane())
        async with asyncio.timeout(10):
            while (await http.get("/readyz")).status != 200:
                await asyncio.sleep(0.05)
        await line.publish(batch("b1", "hello", "hello"))
        await line.until(lambda: line.replies)
        metrics = await (await http.get("/metrics")).text()
        assert 'prefmill_cells_total{lane="llama"} 2.0' in metrics
        assert 'prefmill_lane_ready{lane="llama"} 1.0' in metrics
        assert "faststream_published_messages_total" in metrics


async def test_an_idle_worker_ends_on_either_signal(line: Line) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        line.announced.clear()
        process = line.process(lane())
        await line.until(lambda: line.announced)
        process.send_signal(number)
        assert await line.exited(process) == 0
        assert line.announced[-1].stopping


def test_without_nats_a_worker_says_so_in_one_line_and_exits_with_1() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "prefmill.judge.app"],
        env={
            "PYTHONPATH": ":".join(path for path in sys.path if path),
            "PREFMILL_NATS_URL": f"nats://127.0.0.1:{free_port()}",
            "PREFMILL_NATS_WAIT_S": "0",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: no NATS server answers at nats://127.0.0.1:")
    assert len(ended.stderr.splitlines()) == 1

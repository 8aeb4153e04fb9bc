"""A worker whose engine has processes of its own: how much it takes, loads, ends and dies."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from nats.aio.client import Client

from prefmill.contracts.workers import LaneServed, LanesOpened

from .conftest import Server
from .line import Line, batch, lane
from .test_worker_life import free_port


@pytest_asyncio.fixture
async def line(nc: Client, server: Server, tmp_path: Path) -> AsyncIterator[Line]:
    line = await Line(nc, server, tmp_path).open()
    yield line
    line.close()


def local(**options: Any) -> Any:
    spec = lane(**{"gpus": 1, **options})
    return spec.model_copy(update={"engine": "local"})


def alive(pid: int) -> bool:
    """Whether the process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


def served(line: Line) -> LaneServed | None:
    lanes = line.announced[-1].lanes if line.announced else ()
    return lanes[0] if lanes else None


async def test_as_many_rows_of_several_batches_run_as_the_engine_wants(line: Line) -> None:
    log = line.folder / "running"
    spec = local(concurrency=2, most=8, log=str(log))
    await line.opened(spec)
    async with line.generator(spec):
        await line.ready()
        await line.publish(*(batch(f"b{n}", *["sleep 0.4"] * 4) for n in range(5)))
        await line.until(lambda: (now := served(line)) and now.busy == 10)
        await line.until(lambda: len(line.replies) == 5)
    assert max(map(int, log.read_text().split())) == 8
    assert {lane.slots for seen in line.announced for lane in seen.lanes if lane.busy} == {10}
    assert all(len(line.texts(f"b{n}")) == 4 for n in range(5))


async def test_one_slow_row_holds_up_its_own_batch_only(line: Line) -> None:
    spec = local(most=2)
    await line.opened(spec)
    async with line.generator(spec):
        await line.publish(batch("slow", "sleep 1.5", "quick"))
        await line.publish(*(batch(f"b{n}", "quick", "quick") for n in range(6)))
        await line.until(lambda: len(line.replies) == 7)
    assert [reply.batch for reply in line.replies][-1] == "slow"


async def test_a_setting_limits_what_the_engine_wants(line: Line) -> None:
    spec = local(most=8)
    await line.opened(spec)
    async with line.generator(spec, concurrency=3):
        await line.ready()
        await line.publish(batch("b1", *["sleep 0.5"] * 9))
        await line.until(lambda: (now := served(line)) and now.busy == 3)
        assert served(line).slots == 3  # pyright: ignore[reportOptionalMemberAccess]
        await line.until(lambda: line.replies)


async def test_loading_is_told_and_the_worker_ready_only_when_the_model_answers(
    line: Line,
) -> None:
    port = free_port()
    spec = local(load_s=2.5)
    await line.opened(spec)
    async with (
        line.generator(spec, probe_port=port),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
    ):
        await line.until(lambda: (now := served(line)) and now.detail)
        assert (now := served(line))
        assert now.health == "probing"
        assert now.detail.startswith("loading the model: ")
        assert (await http.get("/readyz")).status == 503
        await line.ready()
        await line.publish(batch("b1", "hello", "there"))
        await line.until(lambda: line.replies)
        metrics = await (await http.get("/metrics")).text()
    (loaded,) = [line for line in metrics.splitlines() if line.startswith("prefmill_lane_load_s")]
    assert float(loaded.split()[1]) >= 2.5
    assert 'prefmill_cells_total{lane="llama"} 2.0' in metrics
    assert 'prefmill_output_tokens_total{lane="llama"} 4.0' in metrics
    assert 'prefmill_call_seconds_count{lane="llama"} 2.0' in metrics
    assert "local_calls_total 2.0" in metrics, "the engine's own metrics stand beside ours"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_the_model_loads_ends_the_worker_and_its_children(
    line: Line, number: signal.Signals
) -> None:
    child = line.folder / "child"
    spec = local(load_s=600, child=str(child))
    await line.opened(spec)
    process = line.process(spec)
    await line.until(lambda: (now := served(line)) and now.detail)
    process.send_signal(number)
    assert await line.exited(process) == 0
    await until(lambda: not alive(int(child.read_text())))


async def test_no_child_outlives_a_killed_worker(line: Line) -> None:
    child = line.folder / "child"
    spec = local(child=str(child))
    await line.opened(spec)
    process = line.process(spec)
    await line.ready()
    assert alive(int(child.read_text()))
    process.kill()
    await until(lambda: not alive(int(child.read_text())))


async def test_a_worker_whose_engine_dies_gives_its_batches_back_and_fails(line: Line) -> None:
    spec = local(most=1)
    await line.opened(spec)
    process = line.process(spec)
    await line.ready()
    await line.publish(
        batch("begun", "hello", "sleep 0.5", "die", *["never"] * 5), batch("not-begun", "hello")
    )
    assert await line.exited(process) == 1
    await line.until(lambda: any(reply.batch == "begun" for reply in line.replies))
    assert line.texts("begun") == {0: "echo hello", 1: "echo sleep 0.5"}
    assert line.reply("begun").problem is None, "the lane itself is well"
    await line.until(lambda: line.announced[-1].stopping)
    async with line.generator(spec):
        await line.until(lambda: line.texts("not-begun"))
    assert not line.dead


async def test_a_lane_that_needs_devices_is_opened_only_where_just_it_is_to_be(line: Line) -> None:
    spec, other = local(), lane("other")
    async with line.generator(host_any=True), line.generator(host_lanes=("llama",)):
        await line.opened(spec, other)
        await line.until(lambda: len({(w.worker, w.lanes[0].slug) for w in told(line)}) == 2)
        await line.tell("lanes.v1", LanesOpened(lanes=(spec, other)))
        assert all(len(worker.lanes) == 1 for worker in told(line))


def told(line: Line) -> list[Any]:
    return [worker for worker in line.announced if worker.lanes]

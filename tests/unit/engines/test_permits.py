"""A limit that processes share, with real processes, one of them killed."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefmill.engines.permits import Permits

HOLDERS = '''
"""Starts processes that take permits, kills one, and takes back what it held."""
import asyncio, multiprocessing, os, signal, sys
from prefmill.engines.permits import Permits

def hold(permits, count, ready):
    async def main():
        for _ in range(count):
            await permits.acquire()
        ready.send(permits.take())
        await asyncio.Event().wait()
    asyncio.run(main())

def start(context, permits, index, count):
    ours, theirs = context.Pipe()
    process = context.Process(target=hold, args=(permits.of(index), count, theirs), daemon=True)
    process.start()
    return process, ours

def main():
    context = multiprocessing.get_context(sys.argv[1])
    permits = Permits.create(8, 3)
    first, first_ready = start(context, permits, 1, 3)
    assert first_ready.recv() is True  # three, and one more that it asked for
    second, second_ready = start(context, permits, 2, 4)
    assert second_ready.recv() is False
    assert (permits.held(1), permits.held(2), permits.free()) == (4, 4, 0)
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    assert permits.free() == 0
    assert permits.reclaim(1) == 4
    assert permits.reclaim(1) == 0
    assert (permits.held(1), permits.held(2), permits.free()) == (0, 4, 4)
    os.kill(second.pid, signal.SIGKILL)
    second.join()
    permits.reclaim(2)
    assert permits.free() == 8
    print("all permits are back")

if __name__ == "__main__":
    main()
'''


@pytest.fixture
def permits() -> Iterator[Permits]:
    made = Permits.create(3, 2)
    yield made
    made.close()


@pytest.mark.parametrize("method", ["forkserver", "fork", "spawn"])
def test_permits_of_a_killed_process_can_be_taken_back(method: str, tmp_path: Path) -> None:
    script = tmp_path / "holders.py"
    script.write_text(HOLDERS)
    done = subprocess.run(
        [sys.executable, str(script), method], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "all permits are back\n", done.stderr


async def test_no_more_permits_are_taken_than_there_are(permits: Permits) -> None:
    assert [permits.take() for _ in range(4)] == [True, True, True, False]
    assert (permits.held(0), permits.free()) == (3, 0)
    for _ in range(3):
        permits.release()
    assert (permits.held(0), permits.free()) == (0, 3)


async def test_those_who_wait_are_served_in_order(permits: Permits) -> None:
    while permits.take():
        pass
    served: list[int] = []

    async def wait(number: int) -> None:
        await permits.acquire()
        served.append(number)
        permits.release()

    waiting = [asyncio.create_task(wait(number)) for number in range(10)]
    await asyncio.sleep(0)
    assert served == []
    permits.release()
    assert not permits.take()
    await asyncio.gather(*waiting)
    assert served == list(range(10))


async def test_two_processes_share_one_limit(permits: Permits) -> None:
    mine, other = permits.of(0), permits.of(1)
    assert mine.take()
    assert mine.take()
    assert other.take()
    assert not other.take()
    waiting = asyncio.create_task(other.acquire())
    await asyncio.sleep(0)
    mine.release()
    await waiting
    assert (permits.held(0), permits.held(1)) == (1, 2)
    mine.close()
    other.close()


async def test_a_cancelled_wait_loses_no_permit(permits: Permits) -> None:
    while permits.take():
        pass
    waiting = [asyncio.create_task(permits.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    permits.release()
    await waiting[0]
    permits.release()
    await waiting[2]
    assert waiting[1].cancelled()
    for _ in range(3):
        permits.release()
    assert permits.free() == 3


async def test_a_wait_that_is_cancelled_as_it_is_granted_gives_the_permit_on(
    permits: Permits,
) -> None:
    while permits.take():
        pass
    waiting = asyncio.create_task(permits.acquire())
    await asyncio.sleep(0)
    permits.release()
    permits._grant()  # noqa: SLF001 - what the event loop would call next
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert permits.free() == 1


def test_what_is_made_for_a_process_is_closed_when_it_is_dropped(permits: Permits) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    other = permits.of(1)
    assert opened() == before + 4  # a mapping keeps a descriptor of its own
    other.close()
    other.close()
    assert opened() == before


def test_a_process_that_was_not_counted_is_refused(permits: Permits) -> None:
    with pytest.raises(IndexError, match="process 2 of 2"):
        permits.of(2)

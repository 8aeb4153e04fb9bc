"""On a CPU: the process that feeds the engine keeps off the cores its workers compute on.

There vLLM binds its workers' threads to cores and leaves some free, but binds nothing else. The
system then runs the event loop on a worker's core as gladly as on a free one, and each step of the
model waits for the slowest of its threads. On two cores this costs a seventh of the tokens/s.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

Cores = frozenset[int]

OURS: Final = Cores(os.sched_getaffinity(0)) if sys.platform == "linux" else Cores()
"""What this process may run on; empty where cores cannot be chosen."""


def use_all_cores() -> None:
    """Run anywhere: what is started now may bind its threads to any of them."""
    _move_to(OURS)


def keep_off_workers() -> None:
    """Run on cores that processes below this one have bound no thread to; anywhere, if there are
    none."""
    threads = (thread for child in _below("self") for thread in _threads(child))
    theirs = Cores().union(*(cores for cores in map(_cores, threads) if cores < OURS))
    _move_to(OURS - theirs or OURS)


def _move_to(cores: Cores) -> None:
    if sys.platform != "linux":
        return
    for thread in _threads("self"):
        with suppress(OSError):  # it has ended, or this machine forbids it: slower, not wrong
            os.sched_setaffinity(int(thread.name), cores)


def _cores(thread: Path) -> Cores:
    """Of a thread of any process; empty if it has ended."""
    if sys.platform == "linux":
        with suppress(OSError):
            return Cores(os.sched_getaffinity(int(thread.name)))
    return Cores()


def _threads(process: str) -> list[Path]:
    return list(Path("/proc", process, "task").glob("*"))


def _below(process: str) -> Iterator[str]:
    """All processes that a process has started, and those that they have."""
    for thread in _threads(process):
        with suppress(OSError):
            for child in (thread / "children").read_text().split():
                yield child
                yield from _below(child)

"""Servers of an earlier run that still live: found in /proc, ended before the next start.

Called only while the home's lock is held, so whatever runs on the home's folders is nobody's.
A process id in a file proves nothing (killed half-way, reused, a zombie): what counts is a living
process of the server's name that works in the folder, or names it among its arguments.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from prefmill.cli.embedded.errors import EmbeddedError


def end_leftovers(name: str, folder: Path, *, first: signal.Signals, patience: float = 10) -> None:
    """End every process `name` that runs on the folder: by `first`, then by SIGKILL.

    Patience is in seconds, for each. Raises `EmbeddedError` when one still lives after both.
    """
    for step in (first, signal.SIGKILL):
        deadline = time.monotonic() + patience
        left = list(leftovers(name, folder))
        for pid in left:
            _send(pid, step)
        while left and time.monotonic() < deadline:
            time.sleep(0.005)
            left = [pid for pid in left if _works_on(pid, name, folder)]
        if not left:
            return
    raise EmbeddedError(
        f"A {name} of an earlier run does not end (process {left[0]}, on {folder}).",
        todo=f"End it (kill -9 {left[0]}) and try again.",
    )


def leftovers(name: str, folder: Path) -> Iterator[int]:
    """The ids of the processes `name` that run on the folder."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and _works_on(int(entry.name), name, folder):
            yield int(entry.name)


def _works_on(pid: int, name: str, folder: Path) -> bool:
    process = Path("/proc") / str(pid)
    try:
        if (process / "comm").read_text().strip() != name or pid == os.getpid():
            return False
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        if os.fsencode(folder) in arguments:
            return True
        return (process / "cwd").samefile(folder)
    except OSError:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return

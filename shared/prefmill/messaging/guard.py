"""Ends what a worker leaves behind: a process beside it that outlives it by a moment.

A model runs in processes of its own, and these do not notice that the worker was killed: they would
keep its GPU's memory. So the worker leads a process group, and when it is gone, whatever of this
interpreter is still in the group is killed. Run as a script; it imports nothing of ours.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_GLANCE_S = 0.2


def guard_children() -> bool:
    """Start the guard of this process; False where it cannot be (the process shares the group
    of a terminal's foreground, which it must not leave)."""
    if os.getpgrp() != os.getpid():
        if _has_terminal():
            return False
        os.setpgid(0, 0)
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
    silence = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1, 2)]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=silence)
    return True


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _watch(worker: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.getppid() == worker:
        time.sleep(_GLANCE_S)
    for pid in _left(worker):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _left(group: int) -> Iterator[int]:
    """What runs this interpreter in the group, the guard aside. Others of a shell's pipeline
    (`… | tee log`) are in it as well, and are left alone."""
    ours = Path("/proc/self/exe").readlink()
    for entry in os.scandir("/proc"):
        with suppress(OSError):
            pid = int(entry.name) if entry.name.isdecimal() else os.getpid()
            if pid == os.getpid() or os.getpgid(pid) != group:
                continue
            if Path(f"/proc/{pid}/exe").readlink() == ours:
                yield pid


if __name__ == "__main__":
    _watch(int(sys.argv[1]))

"""The lock that gives a home to one process.

It is the kernel's (flock), so a process killed with -9 leaves nothing behind that could be in the
way. Its file says who holds it, for the person who is told to wait.
"""

import fcntl
import json
import os
import weakref
from datetime import UTC, datetime
from pathlib import Path


class Taken(Exception):
    """Another process holds the lock: `pid` and `started`, where its file tells them."""

    def __init__(self, pid: int | None, started: str) -> None:
        super().__init__(pid, started)
        self.pid = pid
        self.started = started


class Lock:
    """An exclusive lock on a file, held until `release` or the end of the process.

    Children that are forked while it is held do not hold it: they may outlive their parent by a
    moment, and would keep its successor out.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock at once. Raises `Taken`, or `OSError` where the file cannot be written."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_holder(self._file)
        except BlockingIOError:
            taken = _read_holder(self._file)
            os.close(self._file)
            raise taken from None
        except OSError:
            os.close(self._file)
            raise
        self.held = True
        _held.add(self)

    def release(self) -> None:
        """Unlock, also for children that were forked just now; in such a child, do nothing."""
        if self.held:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self.leave()

    def leave(self) -> None:
        """Close the file without unlocking: how a forked child leaves the lock to its parent."""
        self.held = False
        _held.discard(self)
        os.close(self._file)


def holder(path: Path) -> Taken | None:
    """Who holds the lock of that file now; None if nobody does. Takes nothing from anybody: the
    lock is only touched where its file names a process that lives."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    told = _read_holder(file)
    try:
        if told.pid is not None:
            os.kill(told.pid, 0)
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except ProcessLookupError:
        return None
    except (BlockingIOError, PermissionError):
        return told
    else:
        return None
    finally:
        os.close(file)


def _write_holder(file: int) -> None:
    holder = {"pid": os.getpid(), "started": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(holder).encode() + b"\n", 0)


def _read_holder(file: int) -> Taken:
    try:
        holder = json.loads(os.pread(file, 1000, 0))
        return Taken(int(holder["pid"]), str(holder["started"]))
    except (ValueError, TypeError, KeyError):
        return Taken(None, "")


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _leave_locks_to_the_parent() -> None:
    for lock in list(_held):
        lock.leave()


os.register_at_fork(after_in_child=_leave_locks_to_the_parent)

"""A limit on calls in flight that processes share: a pipe filled with one byte for each permit.

Comes in: inherited file descriptors. A permit is taken by reading a byte and given back by
writing one, as make's job server does. A table in shared memory says how many each process
holds, so that whoever started it can give back those of one that was killed.
"""

import asyncio
import fcntl
import mmap
import os
import termios
from collections import deque
from collections.abc import Callable
from multiprocessing.reduction import DupFd
from typing import Any, Final, Protocol, Self

_COUNT_BYTES: Final = 4


class SharedLimit(Protocol):
    """A limit on calls in flight that lanes, or processes, share."""

    def take(self) -> bool:
        """Take a permit if one is free at once."""
        ...

    async def acquire(self) -> None:
        """Wait for a permit."""
        ...

    def release(self) -> None:
        """Give a permit back."""
        ...


class Permits:
    """Use it as one of the processes: `Permits.create(n, processes).of(index)`, which can be
    handed to a process that multiprocessing starts, or be inherited by a fork."""

    def __init__(self, pipe: tuple[int, int], table: int, processes: int, index: int = 0) -> None:
        self._reader, self._writer = pipe
        self._table = table
        self._processes = processes
        self._index = index
        self._shared = mmap.mmap(table, processes * _COUNT_BYTES)
        self._held = memoryview(self._shared).cast("i")
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def create(cls, permits: int, processes: int) -> Self:
        """A new pipe with so many permits for so many processes, numbered from 0. OSError if
        the system's pipes hold fewer bytes."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        table = os.memfd_create("permits", os.MFD_CLOEXEC)
        os.ftruncate(table, processes * _COUNT_BYTES)
        if permits > fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ):
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, permits)
        os.write(writer, bytes(permits))
        return cls((reader, writer), table, processes)

    def of(self, index: int) -> "Permits":
        """The same permits for the process `index`; it has descriptors of its own."""
        if not 0 <= index < self._processes:
            raise IndexError(f"process {index} of {self._processes}")
        pipe = (os.dup(self._reader), os.dup(self._writer))
        return type(self)(pipe, os.dup(self._table), self._processes, index)

    def take(self) -> bool:
        """Take a permit if one is free, and nobody in this process waits for it."""
        return not self._waiting and self._read()

    async def acquire(self) -> None:
        """Take a permit, after all others that wait in this process."""
        if self.take():
            return
        loop = asyncio.get_running_loop()
        granted: asyncio.Future[None] = loop.create_future()
        self._waiting.append(granted)
        if len(self._waiting) == 1:
            self._loop = loop
            loop.add_reader(self._reader, self._grant)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            self._forget(granted)
            raise

    def release(self) -> None:
        """Give a permit back, to whichever process reads first."""
        os.write(self._writer, b"\0")
        self._held[self._index] -= 1

    def held(self, index: int) -> int:
        """How many permits a process holds."""
        return self._held[index]

    def free(self) -> int:
        """How many permits nobody holds, for a moment."""
        waiting = fcntl.ioctl(self._reader, termios.FIONREAD, bytes(_COUNT_BYTES))
        return int.from_bytes(waiting, "little")

    def reclaim(self, index: int) -> int:
        """Give back what a dead process held; how many. One that died between counting and
        reading or writing gives back one too many: better than a permit lost for good."""
        lost = max(0, self._held[index])
        self._held[index] = 0
        if lost:
            os.write(self._writer, bytes(lost))
        return lost

    def close(self) -> None:
        """Close the descriptors; permits that are held are not given back."""
        if self._closed:
            return
        self._closed = True
        if self._loop is not None and self._waiting:
            self._loop.remove_reader(self._reader)
        self._held.release()
        self._shared.close()
        for descriptor in (self._reader, self._writer, self._table):
            os.close(descriptor)

    def __del__(self) -> None:
        """Whoever starts processes need not close what it made for them."""
        if not getattr(self, "_closed", True):
            self.close()

    def __reduce__(self) -> tuple[Callable[..., "Permits"], tuple[Any, ...]]:
        """For a process that is being started: the descriptors travel along."""
        descriptors = (DupFd(fd) for fd in (self._reader, self._writer, self._table))
        return _rebuilt, (*descriptors, self._processes, self._index)

    def _read(self) -> bool:
        """Counts before it reads, so that a kill in between loses no permit."""
        self._held[self._index] += 1
        try:
            taken = os.read(self._reader, 1)
        except BlockingIOError:
            taken = b""
        if not taken:
            self._held[self._index] -= 1
        return bool(taken)

    def _grant(self) -> None:
        """The pipe holds something: serve those who wait, in order."""
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
            elif not self._read():
                return
            else:
                self._waiting.popleft().set_result(None)
        self._stop_watching()

    def _forget(self, waiter: "asyncio.Future[None]") -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            if not self._waiting:
                self._stop_watching()

    def _stop_watching(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._reader)
            self._loop = None


def _rebuilt(reader: Any, writer: Any, table: Any, processes: int, index: int) -> Permits:
    pipe = (reader.detach(), writer.detach())
    return Permits(pipe, table.detach(), processes, index)

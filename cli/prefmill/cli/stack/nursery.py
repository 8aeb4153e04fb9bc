"""The process that services are forked from: it imports them once, starts them, starts those again
that die, and ends with the command, however that ends.

It is forked before the command has made a thread, and imports one service after the other whenever
there is nothing else to do: a service that is imported can be started while the others are not. The
command talks to it in lines of JSON over a socket; `prefmill.cli.stack.nest` is the command's end
of it.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NoReturn

from prefmill.cli.stack.checking import check
from prefmill.cli.stack.child import Child, die_with, serve

_WORKERS: Final = ("generator", "judge")
_MOST_WORKERS: Final = 64
"""Processes that can share permits."""


def main(channel: socket.socket, parent: int, services: tuple[str, ...]) -> NoReturn:
    """Import the services, then follow the command's orders until it hangs up."""
    status = 1
    try:
        os.setsid()  # Ctrl-C is the command's to answer
        die_with(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.disable()  # what is imported stays: looking for cycles in it is a tenth of the time
        Nursery(channel, services).run()
        status = 0
    except Exception:  # noqa: BLE001 - the last line of defence of a process
        traceback.print_exc()
    finally:
        os._exit(status)


class Nursery:
    """The loop of the process: orders in, events out."""

    def __init__(self, channel: socket.socket, services: tuple[str, ...]) -> None:
        self._channel = channel
        self._to_load = deque(services)
        self._unread = b""
        self._children: dict[str, Child] = {}
        self._stopping: set[str] = set()
        self._permits: Any = None
        self._woken = self._wake_on_child()

    def run(self) -> None:
        """Import and serve until the command hangs up."""
        self._load(self._to_load[0])
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            self._serve(selector)

    def _serve(self, selector: selectors.BaseSelector) -> None:
        while True:
            ready = {key.fileobj for key, _ in selector.select(self._patience())}
            if self._woken in ready:
                self._woken.recv(4096)
            self._bury()
            self._act_on_time()
            if self._channel in ready and not self._listen():
                return
            if not ready and self._to_load:
                self._load(self._to_load[0])

    def _load(self, service: str) -> None:
        """Import a service, if that is still to be done."""
        if service not in self._to_load:
            return
        self._to_load.remove(service)
        try:
            with _without_websockets():
                importlib.import_module(f"prefmill.{service}.app")
                _warm()
        except Exception as error:
            self._tell("broken", error=f"{type(error).__name__}: {error}")
            raise

    def _listen(self) -> bool:
        """Follow the orders that came; False if the command hung up."""
        more = self._channel.recv(65536)
        *lines, self._unread = (self._unread + more).split(b"\n")
        for line in lines:
            self._follow(json.loads(line))
        return bool(more)

    def _follow(self, orders: dict[str, Any]) -> None:
        match orders["do"]:
            case "check":
                self._load("coordinator")
                problems, devices = check(orders["recipe"])
                self._tell("checked", problems=problems, devices=devices)
            case "permits":
                self._permits = _permits(orders["permits"])
            case "start":
                self._load(orders["service"])
                orders["index"] = self._index(orders)
                self._children[orders["name"]] = child = Child(orders)
                self._start(child)
            case "stop":
                self._stop(orders["names"], orders["patience"])
            case "end":
                self._end([orders["name"]], orders["patience"])
            case unknown:
                raise ValueError(f"no order {unknown!r}")

    def _start(self, child: Child) -> None:
        child.due = None
        parent = os.getpid()
        gc.freeze()  # pages of what was imported stay shared
        child.pid = os.fork()
        if child.pid == 0:
            self._become(child, parent)
        self._tell("started", name=child.orders["name"], pid=child.pid)

    def _become(self, child: Child, parent: int) -> NoReturn:
        """In the child: leave everything of the nursery's behind, and be the service."""
        status = 1
        try:
            gc.enable()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            die_with(parent)
            self._channel.close()
            self._woken.close()
            status = serve(child.orders, self._permits)
        except BaseException:  # noqa: BLE001 - whatever it is, it belongs into the log
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _index(self, orders: dict[str, Any]) -> int | None:
        """The place of a worker among those that share permits."""
        if orders["service"] not in _WORKERS:
            return None
        taken = {child.orders["index"] for child in self._children.values() if child.pid}
        return next((index for index in range(_MOST_WORKERS) if index not in taken), None)

    def _stop(self, names: list[str], patience: float) -> None:
        self._end(names, patience)
        self._stopping = set(names)
        self._report_stopped()

    def _end(self, names: list[str], patience: float) -> None:
        for name in names:
            child = self._children.get(name)
            if child:
                child.wanted, child.due = False, None
                if child.pid:
                    os.kill(child.pid, signal.SIGTERM)
                    child.kill_at = time.monotonic() + patience
                else:
                    self._tell("gone", name=name)

    def _bury(self) -> None:
        """Take note of every child that ended."""
        for child in self._children.values():
            if not child.pid:
                continue
            ended, status = os.waitpid(child.pid, os.WNOHANG)
            if ended:
                self._ended(child, os.waitstatus_to_exitcode(status))
        self._report_stopped()

    def _ended(self, child: Child, code: int) -> None:
        child.pid, child.kill_at = 0, None
        if self._permits and child.orders["index"] is not None:
            self._permits.reclaim(child.orders["index"])
        if child.wanted:
            child.due = child.due_again()
            name, log = child.orders["name"], child.orders["log"]
            self._tell("ended", name=name, code=code, again=child.due is not None, log=log)
        else:
            self._tell("gone", name=child.orders["name"])

    def _report_stopped(self) -> None:
        living = {n for n in self._stopping if n in self._children and self._children[n].pid}
        if self._stopping and not living:
            self._stopping = set()
            self._tell("stopped")

    def _act_on_time(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.due is not None and child.due <= now:
                child.restarts.append(now)
                child.orders["settings"] |= child.orders["again"]
                self._start(child)
            if child.pid and child.kill_at is not None and child.kill_at <= now:
                os.kill(child.pid, signal.SIGKILL)
                child.kill_at = now + 1

    def _patience(self) -> float | None:
        """Seconds until something is due: none while there is something to import."""
        if self._to_load:
            return 0.0
        moments = [m for c in self._children.values() for m in (c.due, c.kill_at) if m is not None]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _tell(self, event: str, **what: Any) -> None:
        try:
            self._channel.sendall(json.dumps({"event": event, **what}).encode() + b"\n")
        except BrokenPipeError:
            os._exit(0)  # the command is gone, and with us go the services

    def _wake_on_child(self) -> socket.socket:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._writer = writer
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _do_nothing)
        return reader


@contextmanager
def _without_websockets() -> Generator[None]:
    """nats-py imports aiohttp for `ws://` addresses alone, which no server of ours has; that is a
    seventh of all there is to import. Whoever wants aiohttp later gets it."""
    hidden = "aiohttp" not in sys.modules
    if hidden:
        sys.modules["aiohttp"] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["aiohttp"]


def _warm() -> None:
    """Find the plugins, and import the engine that nearly every recipe names: once here, not again
    in each service."""
    from prefmill.plugins import registry

    if "openai" in registry.installed("engines"):
        registry.load("engines", "openai")


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """A signal needs a handler to wake the loop."""


def _permits(count: int) -> Any:
    from prefmill.engines.permits import Permits

    return Permits.create(count, _MOST_WORKERS)

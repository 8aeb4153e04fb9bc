"""A server that was started here: watched, waited for, stopped."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefmill.cli.embedded.errors import EmbeddedError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from prefmill.cli.embedded.launch import Orders

Child = subprocess.Popen[bytes]
_LAUNCH = Path(__file__).with_name("launch.py")
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")

_HINTS = {
    "No space left on device": "Free some space on that disk and start again.",
    "no space left": "Free some space on that disk and start again.",
    "address already in use": "Stop the process that uses the port, or choose another port.",
    "CAP_DAC_OVERRIDE": "Run prefmill as an ordinary user: this root has few rights.",
    "Operation not permitted": "Run prefmill as an ordinary user: this root has few rights.",
    "could not look up effective user ID": "Run prefmill as a user who has a name (/etc/passwd).",
    "Permission denied": "Give your user the home's files back, or choose another PREFMILL_HOME.",
}
_LAST_RESORT = "Read the log; moving the home away starts afresh, without what it holds."


class Server(ABC):
    """One running server process: `pid`, `poll`, `wait_ready`, `stop`.

    It dies with the process that launched it, however that ends.
    """

    name: str
    stop_signal: signal.Signals
    """Asks for a clean end without waiting for clients."""

    def __init__(self, process: Child, log: Path, log_start: int) -> None:
        self._process = process
        self._log_start = log_start
        self.log = log

    @property
    def pid(self) -> int:
        """The process id; the same from launch to end."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit status, or None while it lives (negative: the signal that killed it)."""
        return self._process.poll()

    def wait_ready(self, timeout: float = 120) -> None:
        """Return as soon as the server answers a client; the timeout is in seconds.

        Raises `EmbeddedError` with the log's last lines when it dies or never answers.
        """
        deadline = time.monotonic() + timeout
        while not self._answers():
            if self.poll() is not None:
                raise self.died()
            if time.monotonic() > deadline:
                self.stop()
                raise self._failed(f"{self.name} did not answer within {timeout:g} s.")
            time.sleep(0.004)

    def stop(self, patience: float = 10) -> None:
        """End it and wait for that: cleanly for `patience` seconds, then by SIGKILL."""
        for number in (self.stop_signal, signal.SIGKILL):
            if self.poll() is None:
                self._process.send_signal(number)
                self._wait(patience)

    def died(self) -> EmbeddedError:
        """The error that tells how this server ended."""
        return self._failed(f"{self.name} ended by itself ({_ending(self.poll())}).")

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client that connects now is served."""

    def _wait(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def _failed(self, what: str) -> EmbeddedError:
        lines = self._last_lines()
        todo = next((todo for sign, todo in _HINTS.items() if sign in lines), _LAST_RESORT)
        return EmbeddedError(what, todo=todo, log=self.log, lines=lines)

    def _last_lines(self, count: int = 8) -> str:
        with self.log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, end - 4000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


def spawn(orders: "Orders", log: Path, **environment: str) -> tuple[Child, int]:
    """Start a child with these orders, its output appended to the log; returns at once.

    Returned are the child and the size of the log before it. The environment is made new: no key
    and no setting of the user's reaches a server.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    arguments = [sys.executable, "-I", "-S", "-B", str(_LAUNCH), json.dumps(orders)]
    with log.open("ab") as file:
        start = file.tell()

        def start_child() -> Child:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**inherited, "TZ": "UTC", "LC_ALL": "C", **environment},
                start_new_session=True,  # Ctrl-C is the parent's to answer, servers stop last
            )

        return _in_lasting_thread(start_child), start


def _in_lasting_thread(start_child: Callable[[], Child]) -> Child:
    """Call it in a thread that lives as long as the process: parent death means *thread* death."""
    if threading.current_thread() is threading.main_thread():
        return start_child()
    return _starter().submit(start_child).result()


@cache
def _starter() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor  # only needed off the main thread

    return ThreadPoolExecutor(1, thread_name_prefix="prefmill-embedded")


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"

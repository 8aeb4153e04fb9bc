"""Services as processes of their own on the embedded servers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from prefmill.cli.embedded import Home
from prefmill.cli.embedded.stack import Servers, start_all

from .api import Api


class Zygote:
    """The process that services are forked from; packages in `path` go before the installed."""

    def __init__(self, path: Path | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | ({"PYTHONPATH": str(path)} if path else {}),
        )

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """It ends, and with it what it has forked."""
        self._process.communicate()


@cache
def zygote() -> Zygote:
    """One for all tests."""
    return Zygote()


class Process:
    """A service that runs."""

    def __init__(self, origin: Zygote, service: str, log: Path, env: dict[str, str]) -> None:
        self._origin = origin
        self.service = service
        self.log = log
        self.pid: int = origin.ask(service=service, log=str(log), env=env)
        self.code: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self.code is None:
            self.code = self._origin.ask(poll=self.pid)
        return self.code

    def wait(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            assert time.monotonic() < deadline, f"{self.service} does not end: {self.said()}"
            time.sleep(0.02)
        return code

    def signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Line:
    """Servers, and the services that a test starts on them."""

    folder: Path
    nats_url: str
    database_url: str
    env: dict[str, str] = field(default_factory=dict[str, str])
    port: int = field(default_factory=free_port)
    running: list[Process] = field(default_factory=list[Process])

    @property
    def api(self) -> Api:
        return Api(f"http://127.0.0.1:{self.port}", "")

    def start(self, service: str, origin: Zygote | None = None, **env: str) -> Process:
        """One more process of that service, as it is here or in `origin`."""
        settings = {
            "PREFMILL_NATS_URL": self.nats_url,
            "PREFMILL_DATABASE_URL": self.database_url,
            "PREFMILL_PORT": str(self.port),
            "PREFMILL_EXPORTS_DIR": str(self.folder / "exports"),
            "PREFMILL_ACK_WAIT_S": "5",
            "PREFMILL_HOST_ANY": "true",
        }
        log = self.folder / f"{service}-{len(list(self.folder.glob('*.log')))}.log"
        process = Process(origin or zygote(), service, log, settings | self.env | env)
        self.running.append(process)
        return process

    def until_up(self, workers: int, seconds: float = 90) -> None:
        """Wait until the API answers and knows so many workers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if len(self.api("/v1/workers")) >= workers:
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def stop(self, *processes: Process) -> None:
        """SIGTERM, and what is left after a while is killed; all of them if none are named."""
        going = processes or tuple(self.running)
        for process in going:
            process.signal(signal.SIGTERM)
        for process in going:
            try:
                process.wait(60)
            except AssertionError:
                process.signal(signal.SIGKILL)
                raise
        self.running = [process for process in self.running if process not in going]

    def said(self) -> str:
        """What all of them have logged."""
        return "\n".join(f"{process.log.name}: {process.said()}" for process in self.running)


@contextmanager
def line(folder: Path, **env: str) -> Generator[Line]:
    """Servers in this folder, and a line on them without services; all of it ends with the
    block."""
    folder.mkdir(exist_ok=True)
    servers: Servers = start_all(Home(folder / "home"), sync="10s")
    made = Line(folder, servers.nats.url, servers.postgres.dsn, env)
    try:
        yield made
    finally:
        made.stop()
        servers.stop()

"""The stack: both servers and the four services, from start to end."""

import json
import os
import secrets
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prefmill.cli.embedded.errors import EmbeddedError
from prefmill.cli.embedded.home import Home, write_private
from prefmill.cli.embedded.nats import Nats, launch_nats
from prefmill.cli.embedded.postgres import Postgres, launch_postgres
from prefmill.cli.stack.models import LocalModels
from prefmill.cli.stack.nest import Nest
from prefmill.cli.stack.turns import take_turns
from prefmill.cli.stop import FAILED, WRONG, Stop

if TYPE_CHECKING:
    from prefmill.cli.client import Client  # imports pydantic, which not every command needs

DRAIN_S: Final = 10.0
"""How long calls in flight may go on after Ctrl-C."""

_END_S: Final = DRAIN_S + 3
"""How long a worker may take to end."""

SYNC: Final = "1s"
"""How often NATS brings its files to the disk: a power failure may lose the answers of the last
second on their way to Postgres, which commits each; a killed process loses none. `always` would
cost half of NATS's throughput here."""

ACK_WAIT_S: Final = 10.0
"""So long the batches of a killed worker wait for another; services are one process each here."""

_LEAST_MB: Final = 32
"""Room on the disk below which everything is stopped, while what is in flight can be stored."""

_START_S: Final = 60.0
_RESTARTS: Final = 5
_WITHIN_S: Final = 60.0

WORKERS: Final = ("generator", "judge")

Say = Callable[[str], None]


class Stack:
    """Everything embedded. Once made, it imports the services in the background; `launch` starts
    the servers and the workers, `serve` the others; `tend` is called now and then; `stop` ends it
    all."""

    def __init__(self) -> None:
        take_turns()
        self._nest = Nest(*WORKERS, "coordinator", "sink")
        self._home: Home | None = None
        self._postgres: Postgres | None = None
        self._nats: Nats | None = None
        self._models: LocalModels | None = None
        self._client: Client | None = None
        self._hosting = True
        self._serving = False
        self._resting = False
        self._restarts: deque[float] = deque(maxlen=_RESTARTS)

    def check(self, recipe: dict[str, Any]) -> list[str]:
        """The problems of a recipe's plugins."""
        problems, self._hosting = self._nest.check(recipe)
        return problems

    def launch(self, home: str | Path | None, *, concurrency: int | None = None) -> None:
        """Lock the home, start both servers, and the workers once NATS answers. `concurrency`
        limits the calls in flight of all workers together. Raises EmbeddedError."""
        self._home = Home(home).acquire()
        self._postgres = launch_postgres(self._home)
        self._nats = launch_nats(self._home, sync=SYNC)
        if concurrency:
            self._nest.share_permits(concurrency)
        self._nats.wait_ready()
        self._start_workers()
        settings = {**_on(self._nats.url), "drain_s": DRAIN_S}
        self._models = LocalModels(self._nest, self._home.log, settings, _END_S)

    @property
    def home(self) -> Path:
        """The folder that everything is in."""
        assert self._home
        return self._home.path

    @property
    def _public(self) -> Path:
        """Where the coordinator is to be found; there while it runs, and after it was killed."""
        return self.home / "api.json"

    def serve(self, *, port: int = 0, token: str | None = None, going_on: bool = False) -> "Client":
        """Start the coordinator and the sink, and return when the API answers; port 0 takes a
        free one. Runs that were stopped wait for their own command, unless they are `going_on`."""
        assert self._postgres
        token = token or secrets.token_urlsafe(24)
        port = _free_port(port)
        url = f"http://127.0.0.1:{port}"
        self._postgres.wait_ready()
        first = {"killed_before": self._public.exists(), "pause_on_start": not going_on}
        self._start_deciders(self._postgres.dsn, port, token, first)
        from prefmill.cli.client import Client

        client = Client(url, token)
        self._wait(client)
        self._client = client
        public = {"url": url, "token": token, "pid": os.getpid()}
        write_private(self._public, json.dumps(public))
        return client

    def tend(self, say: Say) -> None:
        """Start again what died, and say so. Stop if something dies again and again. Raises
        EmbeddedError before the disk is full: NATS never recovers from that by itself."""
        assert self._home
        self._home.need_room(_LEAST_MB)
        self._tend_servers(say)
        for event in self._nest.events():
            ours = self._models is not None and self._models.heard(event, say)
            if event["event"] == "ended" and not ours:
                self._report(event, say)
        self._tend_models(say)

    def rest(self, resting: bool) -> None:
        """End the workers when nothing is left to be called: their memory and devices are free
        while the dataset is written. Start them again if that changes."""
        if resting == self._resting:
            return
        self._resting = resting
        if resting:
            for name in self._workers:
                self._nest.end(name, _END_S)
        else:
            self._nest.stop(WORKERS, _END_S)  # for as long as they may still be ending
            self._start_workers()

    def stop(self) -> None:
        """Workers first, which reply in part; then sink, coordinator, and the servers."""
        if not self._serving:
            self.kill()  # nothing has begun; what is still importing need not end it
            return
        self._nest.stop(self._workers, _END_S)
        self._public.unlink(missing_ok=True)  # an end that workers could not prepare leaves it
        self._nest.stop(("sink",), 15)
        self._nest.stop(("coordinator",), 5)
        self._nest.leave()
        self._stop_servers(10)

    def kill(self) -> None:
        """End everything at once; what was stored stays."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._nest.kill()
        self._stop_servers(2)
        signal.signal(signal.SIGINT, before)

    @property
    def _workers(self) -> tuple[str, ...]:
        """Those that may live."""
        return (*WORKERS, *(self._models.workers if self._models else ()))

    def _start_workers(self) -> None:
        assert self._home
        assert self._nats
        settings = {**_on(self._nats.url), "drain_s": DRAIN_S}
        own: dict[str, dict[str, Any]] = {"judge": {"plugin_files": True}}
        for worker in WORKERS:
            hosting = {**settings, **own.get(worker, {}), "host_any": True}
            self._nest.start(worker, self._home.log(worker), hosting)

    def _start_deciders(self, dsn: str, port: int, token: str, first: dict[str, bool]) -> None:
        assert self._home
        assert self._nats
        dsn = dsn.replace("postgresql://", "postgresql+asyncpg://", 1)
        stored = {**_on(self._nats.url), "database_url": dsn}
        self._serving = True
        exports = str(Path.cwd() / "out")
        kept = {"local": True, "exports_dir": exports, "uploads_dir": str(self.home / "uploads")}
        self._nest.start(
            "coordinator",
            self._home.log("coordinator"),
            {
                **stored,
                **kept,
                "host": "127.0.0.1",
                "port": port,
                "token": token,
                "reset_on_start": True,
                **first,
            },
            # by then workers may hold batches, and a run may be under way
            {"reset_on_start": False, "pause_on_start": False},
        )
        self._nest.start(
            "sink",
            self._home.log("sink"),
            {**stored, "exports_dir": exports, "export_tick_s": 0.25},
        )

    def _wait(self, client: "Client") -> None:
        deadline = time.monotonic() + _START_S
        while not client.ready():
            self.tend(_to_nobody)
            if time.monotonic() > deadline:
                log = self.home / "logs" / "coordinator.log"
                raise Stop(FAILED, f"error: the coordinator does not answer; see {log}")
            time.sleep(0.01)

    def _tend_models(self, say: Say) -> None:
        if self._models is None or self._client is None or not self._hosting:
            return
        from prefmill.cli.client import NoAnswer

        with suppress(NoAnswer):  # the coordinator may be starting again
            self._models.tend(self._client, say)

    def _report(self, event: dict[str, Any], say: Say) -> None:
        name, code = event["name"], event["code"]
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not event["again"]:
            last = _last_line(Path(event["log"]))
            raise Stop(
                FAILED,
                f"error: the {name} ends again and again ({how}): {last}",
                f"  Log: {event['log']}",
            )
        say(f"the {name} ended ({how}) and is started again; log: {event['log']}")

    def _tend_servers(self, say: Say) -> None:
        assert self._home
        if self._postgres and self._postgres.poll() is not None:
            self._count(self._postgres.died())
            say("Postgres ended by itself and is started again")
            self._postgres = launch_postgres(self._home)
            self._postgres.wait_ready()
        if self._nats and self._nats.poll() is not None:
            self._count(self._nats.died())
            say("NATS ended by itself and is started again")
            self._nats = launch_nats(self._home, self._nats.port, sync=SYNC)
            self._nats.wait_ready()

    def _count(self, error: EmbeddedError) -> None:
        now = time.monotonic()
        if len(self._restarts) == _RESTARTS and now - self._restarts[0] < _WITHIN_S:
            raise error
        self._restarts.append(now)

    def _stop_servers(self, patience: float) -> None:
        for server in (self._nats, self._postgres):
            if server:
                server.stop(patience)
        if self._home:
            self._home.release()


def _on(nats_url: str) -> dict[str, Any]:
    """The settings that all services share."""
    return {"nats_url": nats_url, "ack_wait_s": ACK_WAIT_S}


def _to_nobody(_line: str) -> None:
    """While everything starts, only what ends the start is told."""


def _free_port(port: int) -> int:
    """The port, if nobody listens on it; any free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Stop(
                WRONG,
                f"error: the HTTP API cannot listen on port {port}: {error.strerror}; stop what "
                "uses it, or name another with --port",
            ) from error
        return probe.getsockname()[1]


def _last_line(log: Path) -> str:
    """The last line of a log that says something."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "its log cannot be read"
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")

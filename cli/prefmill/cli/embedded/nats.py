"""The embedded NATS: JetStream in the home, on loopback, behind a token."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefmill.cli.embedded.binaries import nats_program
from prefmill.cli.embedded.errors import EmbeddedError
from prefmill.cli.embedded.home import Home, write_private
from prefmill.cli.embedded.leftovers import end_leftovers
from prefmill.cli.embedded.server import Child, Server, spawn

if TYPE_CHECKING:
    from prefmill.cli.embedded.launch import Orders

LOOPBACK = "127.0.0.1"
MAX_PAYLOAD = 8 << 20
"""Bytes of the largest message."""

_MEMORY = "48MiB"
"""From here on NATS looks for free memory more often, and gives it back; no limit. Else it takes
twice what it uses, and keeps that: 90 MB after 100,000 rows."""

_ROOM_MB = 50


class Nats(Server):
    """A running NATS server with JetStream, at `url`; ready once `wait_ready` has returned."""

    name = "NATS"
    stop_signal = signal.SIGTERM

    def __init__(self, process: Child, log: Path, log_start: int, folder: Path, token: str) -> None:
        super().__init__(process, log, log_start)
        self._folder = folder
        self._token = token
        self._addresses: dict[str, list[str]] = {}

    @property
    def url(self) -> str:
        """`nats://TOKEN@127.0.0.1:PORT`: a secret, since it holds the token."""
        return f"nats://{self._token}@{LOOPBACK}:{self.port}"

    @property
    def port(self) -> int:
        """The port; give it to `start_nats` again, and clients find the restarted server."""
        return _port(self._addresses["nats"][0])

    @property
    def monitor_url(self) -> str | None:
        """The HTTP monitoring address, where it was asked for."""
        urls = self._addresses.get("monitoring")
        return f"http://{LOOPBACK}:{_port(urls[0])}" if urls else None

    def _answers(self) -> bool:
        ports = self._folder / f"nats-server_{self.pid}.ports"
        try:
            self._addresses = json.loads(ports.read_text())
            return _has_jetstream(self.port, self._token)
        except (OSError, ValueError):
            return False


def start_nats(
    home: Home,
    port: int = 0,
    *,
    sync: str = "always",
    monitor: bool = False,
    timeout: float = 60,
) -> Nats:
    """Launch NATS in the home (acquired here if it is not yet) and wait until JetStream answers.

    Port 0 lets the server take a free one. `sync` is JetStream's `sync_interval`. Raises
    `EmbeddedError`: wheel missing, disk full, port in use, or it dies.
    """
    nats = launch_nats(home, port, sync=sync, monitor=monitor)
    nats.wait_ready(timeout)
    return nats


def launch_nats(home: Home, port: int = 0, *, sync: str = "always", monitor: bool = False) -> Nats:
    """Start NATS and return at once; `wait_ready` comes later, after the caller's own work.

    A server that still runs in this home, left by a killed run, is ended before: two servers on
    one store would ruin it, and nothing in NATS forbids that. Raises `EmbeddedError`.
    """
    home.acquire()
    program = nats_program()
    end_leftovers("nats-server", home.nats, first=signal.SIGTERM)
    home.need_room(_ROOM_MB)
    _check_port(port)
    for stale in home.nats.glob("*.ports"):
        stale.unlink()
    token, config = _token(home.nats), home.nats / "nats.conf"
    write_private(config, _config(home.nats, token, port, sync=sync, monitor=monitor))
    log = home.log("nats")
    process, log_start = spawn(_orders(home.nats, program, config), log, GOMEMLIMIT=_MEMORY)
    return Nats(process, log, log_start, home.nats, token)


def _orders(folder: Path, program: Path, config: Path) -> "Orders":
    return {
        "parent": os.getpid(),
        "death_signal": signal.SIGTERM,
        "owned": "",
        "prepare": [],
        "aside": "",
        "made": "",
        "folder": str(folder),
        "program": [str(program), "-c", str(config)],
    }


def _config(folder: Path, token: str, port: int, *, sync: str, monitor: bool) -> str:
    settings: dict[str, Any] = {
        "server_name": "prefmill-embedded",
        "host": LOOPBACK,
        "port": port or -1,
        "ports_file_dir": str(folder),
        "max_payload": MAX_PAYLOAD,
        "authorization": {"token": token},
        "jetstream": {
            "store_dir": str(folder),
            "max_memory_store": 64 << 20,
            "max_file_store": 1 << 40,  # the disk is the limit
            "sync_interval": sync,
        },
    }
    if monitor:
        settings["http"] = f"{LOOPBACK}:-1"
    # NATS reads JSON as it is, but for \\u escapes.
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"


def _token(folder: Path) -> str:
    """The home's secret, made once: clients of an earlier start may come back with it."""
    path = folder / "token"
    if not path.exists():
        write_private(path, os.urandom(16).hex())
    return path.read_text()


def _check_port(port: int) -> None:
    if not port:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise EmbeddedError(
                f"NATS cannot listen on port {port} of {LOOPBACK}: {error.strerror}.",
                todo="Stop the process that uses it, or choose another port.",
            ) from error


def _port(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


def _has_jetstream(port: int, token: str) -> bool:
    """Whether a client that logs in gets an answer from JetStream's API."""
    hello = json.dumps({"auth_token": token, "verbose": False, "pedantic": False})
    ask = f"CONNECT {hello}\r\nSUB _INBOX.ready 1\r\nPUB $JS.API.INFO _INBOX.ready 0\r\n\r\n"
    with socket.create_connection((LOOPBACK, port), 2) as client:
        client.sendall(ask.encode())
        said = b""
        while b"\r\nMSG " not in said and (more := client.recv(4096)):
            said += more
    return b"\r\nMSG " in said

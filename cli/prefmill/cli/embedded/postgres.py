"""The embedded Postgres: one cluster in the home, reached over a unix socket only."""

import os
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from prefmill.cli.embedded.binaries import postgres_folder
from prefmill.cli.embedded.errors import EmbeddedError
from prefmill.cli.embedded.home import Home
from prefmill.cli.embedded.leftovers import end_leftovers
from prefmill.cli.embedded.server import Child, Server, spawn
from prefmill.cli.embedded.sockets import SOCKET, remove_sockets, socket_folder

if TYPE_CHECKING:
    from prefmill.cli.embedded.launch import Orders

USER = "prefmill"
DATABASE = "postgres"

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    # One machine, one cluster: nothing is replicated, so the log need only survive a crash.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "checkpoint_timeout": "15min",
    # Short statements from a few services: planning for many cores and compiling cost more.
    "jit": "off",
    # A sample of 6,000 rows tells enough of our tables; one of 30,000 texts takes 36 MB.
    "default_statistics_target": "20",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    # Three processes less; they pay for reads from slow disks, which we hardly do.
    "io_method": "sync",
    "log_checkpoints": "off",
}
"""What differs from Postgres's own settings. `fsync` and `synchronous_commit` stay on: an answer
that was paid for is kept. Given on the command line, so that they follow the code, not the data."""

_ROOM_FIRST_MB = 200
_ROOM_LATER_MB = 50
_READY = b"Z\x00\x00\x00\x05I"


class Postgres(Server):
    """A running Postgres, at `dsn`."""

    name = "Postgres"
    stop_signal = signal.SIGINT  # "fast": clients are sent away, everything is written

    def __init__(self, process: Child, log: Path, log_start: int, sockets: Path) -> None:
        super().__init__(process, log, log_start)
        self.sockets = sockets

    @property
    def dsn(self) -> str:
        """`postgresql://prefmill@/postgres?host=…`, for asyncpg; SQLAlchemy: `+asyncpg` added.

        The same after every restart in this home while the home is held.
        """
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self.sockets))}"

    def _answers(self) -> bool:
        try:
            return _log_in(self.sockets / SOCKET)
        except OSError:
            return False


def start_postgres(home: Home, timeout: float = 120) -> Postgres:
    """Launch Postgres in the home (acquired here if it is not yet) and wait until it answers.

    Raises `EmbeddedError`: wheel missing, disk full, cluster of another release, or it dies.
    """
    postgres = launch_postgres(home)
    postgres.wait_ready(timeout)
    return postgres


def launch_postgres(home: Home) -> Postgres:
    """Start Postgres and return at once; `wait_ready` comes later, after the caller's own work.

    A home without a cluster gets one first, in the same child. A Postgres that still runs in this
    home, left by a killed run, is ended before. Raises `EmbeddedError`.
    """
    home.acquire()
    programs = postgres_folder()
    data = home.postgres / "data"
    end_leftovers("postgres", data, first=signal.SIGQUIT)
    exists = _check_cluster(data, programs)
    home.need_room(_ROOM_LATER_MB if exists else _ROOM_FIRST_MB)
    _sweep(home.postgres, data)
    sockets = socket_folder(home.run)
    remove_sockets(sockets)
    log = home.log("postgres")
    process, log_start = spawn(_orders(home.postgres, programs, sockets, first=not exists), log)
    return Postgres(process, log, log_start, sockets)


def _orders(folder: Path, programs: Path, sockets: Path, *, first: bool) -> "Orders":
    # A name of its own: an initdb that is just dying still cleans up after itself.
    data, aside = str(folder / "data"), str(folder / f"init-{os.urandom(4).hex()}")
    settings = {**SETTINGS, "unix_socket_directories": str(sockets)}
    return {
        "parent": os.getpid(),
        # "immediate": gone in milliseconds, and recovered at the next start.
        "death_signal": signal.SIGQUIT,
        "owned": str(folder),
        "prepare": _initdb(programs, aside) if first else [],
        "aside": aside,
        "made": data,
        "folder": data,
        "program": [str(programs / "postgres"), "-D", data, *_flags(settings)],
    }


def _initdb(programs: Path, aside: str) -> list[str]:
    return [
        str(programs / "initdb"),
        *("-D", aside, "-U", USER, "--encoding=UTF8", "--locale=C"),
        # The socket's folder is the door: only its owner and root can open it.
        *("--auth=trust", "--no-instructions"),
    ]


def _flags(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _check_cluster(data: Path, programs: Path) -> bool:
    """Whether there is a cluster; one that these programs cannot read is an `EmbeddedError`."""
    version = data / "PG_VERSION"
    if not version.exists():
        if data.exists() and any(data.iterdir()):
            raise _unreadable(data, "has no PG_VERSION; it is damaged")
        return False
    made_by, ours = version.read_text(errors="replace").strip(), _release(programs)
    if made_by != ours:
        raise _unreadable(data, f"was made by Postgres {made_by or '?'}; installed is {ours}")
    return True


def _release(programs: Path) -> str:
    """The major release, such as `18`."""
    said = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    return said.stdout.split()[-1].split(".")[0]


def _unreadable(data: Path, why: str) -> EmbeddedError:
    home = data.parent.parent
    return EmbeddedError(
        f"The data in {data} cannot be used: it {why}.",
        todo=f"Install the wheel that made it, or move the home away (mv {home} {home}.old) "
        "and start afresh.",
    )


def _sweep(folder: Path, data: Path) -> None:
    """Remove what a killed start left: unfinished clusters, and a process id that means nothing."""
    for unfinished in folder.glob("init-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _log_in(path: Path) -> bool:
    """Whether Postgres takes a session at this socket (protocol 3.0, no password)."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        client.connect(str(path))
        names = f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
        client.sendall(struct.pack("!ii", len(names) + 8, 3 << 16) + names)
        said = b""
        while more := client.recv(4096):
            said += more
            if said.endswith(_READY):
                client.sendall(b"X\0\0\0\4")
                return True
    return False

"""The folder that everything embedded lives in: created, locked, and known to be ours."""

import os
import shlex
from pathlib import Path
from types import TracebackType
from typing import Self

from prefmill.cli.embedded.errors import EmbeddedError
from prefmill.cli.embedded.lock import Lock, Taken, holder
from prefmill.cli.embedded.sockets import remove_short_folder

LAYOUT = 1
"""Number of the arrangement of files in a home; raised when an older one can no longer be used."""

_STAMP = "prefmill home, layout"
_ELSEWHERE = "choose another home with --home or PREFMILL_HOME"
_BEFORE_THE_STAMP = {"lock", ".gitignore", "VERSION.new"}
_LOG_BYTES = 8 << 20


class Home:
    """A folder of our own: `.prefmill` where the command runs, or `PREFMILL_HOME`.

    Making the object touches nothing. `acquire` (or `with`) creates the folder with mode 0700,
    locks it and checks its layout; the modes of folders that exist are left alone.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        chosen = path or os.environ.get("PREFMILL_HOME") or ".prefmill"
        self.path = Path(chosen).expanduser().absolute()
        self.postgres = self.path / "postgres"
        self.nats = self.path / "nats"
        self.logs = self.path / "logs"
        self.run = self.path / "run"
        self._lock: Lock | None = None

    def acquire(self) -> Self:
        """Create, lock and check the home; does nothing when this object holds it already.

        Raises `EmbeddedError`: held by another process, made by another layout, not ours, or the
        folder cannot be written.
        """
        if self._lock is None:
            try:
                self._lock = self._open()
            except Taken as taken:
                raise self._taken(taken) from None
            except OSError as error:
                raise self._unusable(error) from error
        return self

    def release(self) -> None:
        """Give the home back; whoever asks next gets it. Stop the servers first."""
        if self._lock is not None and self._lock.held:
            remove_short_folder(self.run)
            self._lock.release()
        self._lock = None

    def held_by(self) -> str:
        """Which process holds the home now; empty if none does."""
        taken = holder(self.path / "lock")
        return _who(taken) if taken else ""

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def log(self, name: str) -> Path:
        """The log file of a server; one that has grown past 8 MB is put aside as `.log.1`."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path

    def need_room(self, megabytes: int) -> None:
        """Raise `EmbeddedError` when the disk below the home has less than this left."""
        disk = os.statvfs(self.path)
        free = (disk.f_bavail * disk.f_frsize) >> 20
        if free < megabytes:
            raise EmbeddedError(
                f"The disk of {self.path} is full: {free} MB are left, {megabytes} MB are needed.",
                todo="Free some space and run the same command again: it goes on where it was. Or "
                f"{_ELSEWHERE} on a larger disk.",
            )

    def _open(self) -> Lock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        self._check_layout()
        lock = Lock(self.path / "lock")
        try:
            self._furnish()
        except OSError:
            lock.release()
            raise
        return lock

    def _furnish(self) -> None:
        # The stamp comes first: from then on a home that was left half made is known as ours.
        if not (self.path / "VERSION").exists():
            (self.path / ".gitignore").write_text("*\n")
            write_private(self.path / "VERSION", f"{_STAMP} {LAYOUT}\n")
        for folder in (self.postgres, self.nats, self.logs, self.run):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _check_layout(self) -> None:
        version = self.path / "VERSION"
        if version.exists():
            self._check_stamp(version.read_text(errors="replace").strip())
        elif strangers := sorted({p.name for p in self.path.iterdir()} - _BEFORE_THE_STAMP):
            raise EmbeddedError(
                f"{self.path} holds files ({', '.join(strangers[:3])}) but no VERSION: it is no "
                "prefmill home, or one of a version that can no longer be used.",
                todo=f"{self._move_away}, or {_ELSEWHERE}.",
            )

    def _check_stamp(self, stamp: str) -> None:
        if stamp == f"{_STAMP} {LAYOUT}":
            return
        number = stamp.removeprefix(_STAMP).strip()[:20]
        newer = number.isdecimal() and int(number) > LAYOUT
        raise EmbeddedError(
            f"{self.path} was made by {'a newer' if newer else 'an older'} prefmill "
            f"(layout {number or '?'}; this one uses layout {LAYOUT}).",
            todo=f"{'Upgrade prefmill' if newer else 'Go on with the prefmill that made it'}; "
            f"or {self._move_away[0].lower()}{self._move_away[1:]}, or {_ELSEWHERE}.",
        )

    def _taken(self, taken: Taken) -> EmbeddedError:
        stop = f"stop it (kill {taken.pid})" if taken.pid else "stop it"
        return EmbeddedError(
            f"prefmill is already running in {self.path} ({_who(taken)}).",
            todo=f"Wait for it, {stop}, or {_ELSEWHERE}.",
        )

    def _unusable(self, error: OSError) -> EmbeddedError:
        return EmbeddedError(
            f"The home {self.path} cannot be used: {error.strerror} ({error.filename}).",
            todo=f"Make it a folder that you own and can write to, or {_ELSEWHERE}.",
        )

    @property
    def _move_away(self) -> str:
        path = shlex.quote(str(self.path))
        return f"Move it away (mv {path} {path}.old)"


def _who(taken: Taken) -> str:
    return f"process {taken.pid}, started {taken.started}" if taken.pid else "another process"


def write_private(path: Path, text: str) -> None:
    """Write the whole file or none of it: aside with mode 0600, synced, then renamed."""
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)

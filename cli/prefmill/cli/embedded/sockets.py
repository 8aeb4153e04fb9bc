"""Where the Postgres socket lies: in the home, or in a short folder when that path is too long.

The kernel takes at most 107 bytes for a socket's path, and clients read a comma in it as the start
of another host. A short folder is remembered in the home, so that Postgres comes back at the same
address, and is removed when the home is released.
"""

import os
import re
import stat
from pathlib import Path

SOCKET = ".s.PGSQL.5432"

_MOST_BYTES = 107
_PLAIN = re.compile(r"[A-Za-z0-9_./+ -]+")


def socket_folder(run: Path) -> Path:
    """The folder for Postgres's socket, private to this user; `run` is the home's own."""
    if fits(run):
        return run
    note = run / "short-folder"
    if not _is_ours(remembered := _read(note)):
        remembered = _make_short_folder()
        note.write_text(str(remembered))
    return Path(remembered)


def remove_short_folder(run: Path) -> None:
    """Remove the short folder of this home, if it has one."""
    note = run / "short-folder"
    if note.exists():
        if _is_ours(folder := _read(note)):
            remove_sockets(Path(folder))
            Path(folder).rmdir()
        note.unlink()


def remove_sockets(folder: Path) -> None:
    """Remove what a killed Postgres left in its socket folder."""
    (folder / SOCKET).unlink(missing_ok=True)
    (folder / f"{SOCKET}.lock").unlink(missing_ok=True)


def fits(folder: Path) -> bool:
    """Whether a socket in this folder can be bound, and be named in a connection URL."""
    path = str(folder / SOCKET)
    return len(os.fsencode(path)) <= _MOST_BYTES and _PLAIN.fullmatch(path) is not None


def _make_short_folder() -> str:
    import tempfile  # 15 ms, and rarely due

    place = Path(tempfile.gettempdir())
    name = "prefmill-" + "x" * 8
    return tempfile.mkdtemp(prefix="prefmill-", dir=place if fits(place / name) else "/tmp")  # noqa: S108


def _read(note: Path) -> str:
    return note.read_text() if note.exists() else ""


def _is_ours(folder: str) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    return private and found.st_uid == os.geteuid()

"""Files that are whole or not there, and errors of the disk in words."""

import errno
import json
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from prefmill.plugins.destination import DestinationError

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def disk_errors(path: Path) -> Generator[None]:
    """Turn an OSError into a DestinationError about `path`."""
    try:
        yield
    except OSError as error:
        raise DestinationError(_sentence(error, path)) from error


def aside_of(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(f".{path.name}.part")


def settle(path: Path) -> None:
    """Give what was written aside its name, for good."""
    sync(aside_of(path))
    aside_of(path).replace(path)
    sync(path.parent)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """The file with these lines, or no change."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside_of(path).open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
            settle(path)
        except BaseException:
            aside_of(path).unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    """The file with this value as JSON, or no change."""
    write_lines(path, [json.dumps(value, ensure_ascii=False, indent=2)])


def read_json(path: Path) -> Any:
    """The file's value; None if there is no such file, or no JSON in it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sentence(error: OSError, path: Path) -> str:
    if error.errno in FULL:
        return (
            f"no space left for {path}: free some and run the same command again; "
            "the shards written so far are kept"
        )
    return f"cannot write {path}: {error.strerror or error}"

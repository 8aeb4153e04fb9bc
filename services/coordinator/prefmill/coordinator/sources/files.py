"""Files as a recipe names them, and their lines."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import BinaryIO, Final, cast

from prefmill.coordinator.sources.mapping import Unreadable
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError

Paths = str | list[str]

LONGEST: Final = 64 * 2**20
"""Bytes of one line; a longer one is a failed row."""
COUNTED: Final = 256 * 2**20
"""Bytes of files up to which rows are counted in advance."""
GZIP: Final = b"\x1f\x8b"
UTF8: Final = b"\xef\xbb\xbf"
UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def files_of(paths: Paths, option: str) -> list[Path]:
    """The files: one path or several, each a file or a pattern such as `data/*.jsonl`.

    RecipeError if there is none, or one is a folder or cannot be read.
    """
    names = [paths] if isinstance(paths, str) else paths
    found = [file for name in names for file in _matching(name, option)]
    if not found:
        raise RecipeError(f"source.{option}: names no file")
    return found


def _matching(name: str, option: str) -> list[Path]:
    path = Path(name).expanduser()
    if not path.exists() and has_magic(str(path)):
        matches = sorted(glob(str(path), recursive=True))  # noqa: PTH207 - takes absolute patterns
        files = [match for match in map(Path, matches) if match.is_file()]
        if not files:
            raise RecipeError(f"source.{option}: no file matches {path}")
        return files
    if path.is_dir():
        raise RecipeError(
            f"source.{option}: {path} is a folder; name a file, or a pattern such as {path}/*"
        )
    try:
        path.open("rb").close()
    except OSError as error:
        raise RecipeError(
            f"source.{option}: cannot read {path}: {error.strerror}; check the path"
        ) from error
    return [path]


def fingerprint_of(files: Sequence[Path]) -> str:
    """Hash of the files' names, sizes and times."""
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return digest_of("files", facts).hex()


def place_of(files: Sequence[Path]) -> str:
    """The files, for messages."""
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def countable(files: Sequence[Path]) -> bool:
    """Whether the files are small enough to count their rows in advance."""
    return sum(file.stat().st_size for file in files) <= COUNTED


def lines_of(file: Path) -> Iterator[tuple[int, bytes] | Unreadable]:
    """Number, from 1, and bytes of each line, without a byte order mark. Gzip is recognized by its
    first bytes; where its data end early or are broken, that is the last row, an unreadable one.
    """
    with _opened(file) as stream:
        number = 0
        while True:
            try:
                line = stream.readline(LONGEST + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                yield Unreadable(f"{file.name}, after line {number}: broken gzip data: {error}")
                return
            if not line:
                return
            number += 1
            if number == 1:
                line = _first(line, file)
            if len(line) > LONGEST:
                _finish(stream)
                yield Unreadable(f"{file.name} line {number}: longer than {LONGEST >> 20} MiB")
            else:
                yield number, line


def _opened(file: Path) -> BinaryIO:
    stream = file.open("rb")
    if stream.peek(2)[:2] != GZIP:
        return stream
    stream.close()
    return cast("BinaryIO", gzip.open(file, "rb"))


def _first(line: bytes, file: Path) -> bytes:
    if line.startswith(UTF16):
        raise RecipeError(f"{file}: is UTF-16; save it as UTF-8")
    return line.removeprefix(UTF8)


def _finish(stream: BinaryIO) -> None:
    """Read on to the end of the line."""
    while (rest := stream.readline(LONGEST)) and not rest.endswith(b"\n"):
        pass

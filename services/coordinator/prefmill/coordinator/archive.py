"""An exported folder as one file to download: made while it is sent, so that it takes no room here
and a kill leaves nothing of it."""

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fastapi.responses import StreamingResponse

PIECE: Final = 2**20
"""Bytes that are read and sent at once."""
_END: Final = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Member:
    """One file of the archive."""

    path: Path
    head: bytes
    size: int

    @property
    def padding(self) -> int:
        """Bytes that fill its last block."""
        return -self.size % tarfile.BLOCKSIZE


def archive(name: str, folder: Path) -> StreamingResponse:
    """The folder as a tar file, in a folder of that name, without what is hidden. Blocking."""
    members = [_member(name, folder, path) for path in _files(folder)]
    size = sum(len(each.head) + each.size + each.padding for each in members) + len(_END)
    headers = {
        "content-length": str(size),
        "content-disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}.tar",
    }
    return StreamingResponse(_pieces(members), headers=headers, media_type="application/x-tar")


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not path.is_symlink() and not hidden:
            yield path


def _member(name: str, folder: Path, path: Path) -> Member:
    known = path.stat()
    info = tarfile.TarInfo(str(Path(name) / path.relative_to(folder)))
    info.size, info.mtime = known.st_size, int(known.st_mtime)
    return Member(path, info.tobuf(tarfile.PAX_FORMAT), info.size)


def _pieces(members: Sequence[Member]) -> Iterator[bytes]:
    for member in members:
        yield member.head
        left = member.size
        with member.path.open("rb") as file:
            while left and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece
        if left:
            raise EOFError(f"{member.path} has lost {left} bytes while it was sent")
        yield bytes(member.padding)
    yield _END

"""Files that came over the network: streamed to disk, kept under the hash of their content.

    DIR/SHA256/content     the bytes
    DIR/SHA256/NAME        the same file, under a name that a recipe gives it

A recipe names one `upload:SHA256/NAME`; sources are given its path.
"""

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from pydantic import JsonValue

from prefmill.contracts.api import Upload
from prefmill.contracts.recipe import PluginSpec
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.source import with_each

SCHEME: Final = "upload:"
REFERENCE: Final = re.compile(r"upload:([0-9a-f]{64})/(?!\.{1,2}$)([^/\\\x00-\x1f]{1,150})")
CONTENT: Final = "content"
BROKEN_S: Final = 3600.0
"""A stream that has brought nothing for so long has ended with the process that took it."""
_PART: Final = ".part-"
_OURS: Final = re.compile(rf"[0-9a-f]{{64}}|{re.escape(_PART)}.+")


class TooLarge(Exception):
    """More bytes than one upload may have."""


class Uploads:
    """The folder of uploads; `limit` is the most bytes of one. It is made with the first."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder.absolute()
        self.limit = limit

    def find(self, sha256: str) -> Upload | None:
        """The upload of this hash, if it is here; then it stays for a while."""
        content = self.folder / sha256 / CONTENT
        try:
            os.utime(content)
            size = content.stat().st_size
        except OSError:
            return None
        return _upload(sha256, size)

    def idle(self, since: float) -> list[str]:
        """Names of what nobody has sent or asked for since then, in seconds of the epoch: hashes,
        and files of streams that broke, to which nothing was added for BROKEN_S. Blocking."""
        paths = sorted(self.folder.iterdir()) if self.folder.exists() else []
        return [path.name for path in paths if _OURS.fullmatch(path.name) and _idle(path, since)]

    def remove(self, names: Iterable[str], since: float) -> None:
        """Remove those of them that are still idle. Blocking."""
        for path in map(self.folder.joinpath, names):
            if not _idle(path, since):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    async def store(self, blocks: AsyncIterator[bytes]) -> Upload:
        """Keep a stream; it appears whole or not at all. TooLarge beyond the limit; OSError if
        the disk cannot take it."""
        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True)
        aside = tempfile.NamedTemporaryFile(dir=self.folder, prefix=_PART, delete=False)  # noqa: SIM115
        try:
            with aside:
                sha256, size = await self._written(aside, blocks)
            await asyncio.to_thread(self._settle, Path(aside.name), sha256)
        except BaseException:
            await asyncio.to_thread(Path(aside.name).unlink, missing_ok=True)
            raise
        return _upload(sha256, size)

    def placed(self, source: PluginSpec) -> PluginSpec:
        """A source with paths in place of its uploads. RecipeError for a malformed one."""
        return with_each(
            source,
            lambda one, where: {k: self._placed(v, f"{where}.{k}") for k, v in one.items()},
        )

    def check(self, source: PluginSpec) -> None:
        """See that the uploads of a source are here, each under its name too. RecipeError if one
        is not. Blocking."""
        with_each(source, self._check)

    def _check(self, source: PluginSpec, where: str) -> PluginSpec:
        for key, value in source.items():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and text.startswith(SCHEME):
                    self._name(text, f"{where}.{key}")
        return source

    def _placed(self, value: JsonValue, where: str) -> JsonValue:
        if isinstance(value, list):
            return [self._placed(item, where) for item in value]
        if isinstance(value, str) and value.startswith(SCHEME):
            return str(self._path(value, where))
        return value

    def _path(self, reference: str, where: str) -> Path:
        found = REFERENCE.fullmatch(reference)
        if found is None:
            raise RecipeError(f"{where}: {reference!r} is no upload; write upload:SHA256/NAME")
        return self.folder / found[1] / found[2]

    def _name(self, reference: str, where: str) -> None:
        path = self._path(reference, where)
        content = path.with_name(CONTENT)
        if not content.exists():
            raise RecipeError(
                f"{where}: {path.name} was not sent to this coordinator, or is gone; "
                "`prefmill submit` sends it along"
            )
        os.utime(content)
        with suppress(FileExistsError):
            os.link(content, path)

    async def _written(self, aside: IO[bytes], blocks: AsyncIterator[bytes]) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        async for block in blocks:
            size += len(block)
            if size > self.limit:
                raise TooLarge
            digest.update(block)
            await asyncio.to_thread(aside.write, block)
        return digest.hexdigest(), size

    def _settle(self, aside: Path, sha256: str) -> None:
        own = self.folder / sha256
        own.mkdir(exist_ok=True)
        aside.chmod(0o644)
        if (own / CONTENT).exists():
            aside.unlink()
            os.utime(own / CONTENT)
        else:
            aside.replace(own / CONTENT)


def _idle(path: Path, since: float) -> bool:
    """What is gone meanwhile, as a part that has become an upload, is not."""
    if path.name.startswith(_PART):
        since = max(since, time.time() - BROKEN_S)
    content = path / CONTENT
    with suppress(FileNotFoundError):
        return (content if content.exists() else path).stat().st_mtime < since
    return False


def _upload(sha256: str, size: int) -> Upload:
    return Upload(id=f"{SCHEME}{sha256}", sha256=sha256, bytes=size)

"""`files`: an object store or any other place that `fsspec` can write to: `s3://bucket/prefix`.

The dataset is made in a folder here first, so that an export that was killed resumes, and is put
to the store when it is whole: data first, the card last. Stores put a file whole or not at all;
elsewhere it is written aside and moved. The store's marker says which of its files are ours.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from pydantic import AliasChoices, Field

from prefmill.contracts.base import Strict
from prefmill.plugins.folders import OWN
from prefmill.sink.destinations.disk import DestinationError, read_json, write_json

WHOLE: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci"})
"""Protocols whose files appear whole: no need to write aside."""
LAST: Final = ("run.json", "README.md")
MARKER: Final = f"{OWN}/marker.json"
KEY_NAMES: Final = {
    "s3": "s3fs (pip install 'prefmill-sink[s3]')",
    "s3a": "s3fs (pip install 'prefmill-sink[s3]')",
    "gs": "gcsfs (pip install gcsfs)",
    "gcs": "gcsfs (pip install gcsfs)",
    "az": "adlfs (pip install adlfs)",
    "abfs": "adlfs (pip install adlfs)",
}


class StoreOptions(Strict):
    """`{files: s3://bucket/prefix}`, or `{to: …}`."""

    to: str = Field(
        validation_alias=AliasChoices("to", "files"),
        pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://.+",
        description="Where to: `s3://bucket/prefix`; keys come from the environment of the sink.",
    )


class StoreDestination:
    """Puts whole datasets to one address."""

    Options: ClassVar = StoreOptions

    def __init__(self, options: StoreOptions) -> None:
        self.address = options.to.rstrip("/")

    def publish(self, folder: Path) -> str:
        """Put the dataset in `folder`; what an earlier export put and this one has not is removed.
        Repeated, it goes on after the last file that was put. Its address. DestinationError says
        what is wrong and what to do."""
        with _explained(self.address):
            fs, root = _store(self.address)
            files = files_in(folder)
            ours = _ours(fs, root, self.address)
            journal = _Journal(folder, self.address)
            _mark(fs, root, {*ours, *files})
            for name, path in files.items():
                journal.once(name, path, lambda n=name, p=path: _put(fs, p, f"{root}/{n}"))
            for name in sorted(ours - files.keys()):
                _remove(fs, f"{root}/{name}")
            _mark(fs, root, files)
        return self.address


class _Journal:
    """Which files were put to an address already, by the hash of their content."""

    def __init__(self, folder: Path, address: str) -> None:
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        self._path = folder / OWN / f"put-{name}.json"
        self._put: dict[str, str] = read_json(self._path) or {}

    def once(self, name: str, path: Path, put: Callable[[], None]) -> None:
        """Put it, if that was not done with the same content."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if self._put.get(name) != digest:
            put()
            self._put[name] = digest
            write_json(self._path, self._put)


def files_in(folder: Path) -> dict[str, Path]:
    """Name → file of all that is published in the folder, card and manifest last."""
    found = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    shown = {n: p for n, p in names.items() if not any(x.startswith(".") for x in n.split("/"))}
    return {n: shown[n] for n in sorted(shown, key=lambda name: (_rank(name), name))}


def _rank(name: str) -> int:
    return LAST.index(name) + 1 if name in LAST else 0


def _store(address: str) -> tuple[Any, str]:
    try:
        from fsspec import core
    except ImportError as error:
        raise DestinationError(
            f"{address}: object stores need fsspec; pip install fsspec where the sink runs"
        ) from error
    protocol = address.partition("://")[0]
    try:
        fs, root = cast("Any", core).url_to_fs(address)
    except ImportError as error:
        needed = KEY_NAMES.get(protocol, f"what fsspec wants for it: {error}")
        raise DestinationError(
            f"{address}: {protocol} needs {needed} where the sink runs"
        ) from error
    except ValueError as error:
        raise DestinationError(f"{address}: {error}; write s3://bucket/prefix") from error
    return fs, str(root).rstrip("/")


def _ours(fs: Any, root: str, address: str) -> set[str]:
    """The files there that an export put. DestinationError if there are only others."""
    fs.invalidate_cache()
    if fs.exists(f"{root}/{MARKER}"):
        return set(json.loads(fs.cat_file(f"{root}/{MARKER}"))["files"])
    if fs.exists(root) and fs.find(root):
        raise DestinationError(
            f"{address} holds files that prefmill did not write: name another prefix, or empty it"
        )
    return set()


def _mark(fs: Any, root: str, names: Iterable[str]) -> None:
    path = f"{root}/{MARKER}"
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    fs.pipe_file(path, json.dumps({"prefmill": 1, "files": sorted(names)}).encode())


def _put(fs: Any, path: Path, target: str) -> None:
    above, _, name = target.rpartition("/")
    fs.makedirs(above, exist_ok=True)
    names = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if names & WHOLE:
        fs.put_file(str(path), target)
        return
    aside = f"{above}/.{name}.part"
    fs.put_file(str(path), aside)
    if fs.exists(target):
        fs.rm_file(target)
    fs.mv(aside, target)


def _remove(fs: Any, path: str) -> None:
    if fs.exists(path):
        fs.rm_file(path)


@contextmanager
def _explained(address: str) -> Generator[None]:
    """What the store's libraries raise, as one line."""
    try:
        yield
    except DestinationError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise DestinationError(
            f"cannot write to {address}: {type(error).__name__}: {said}; what was put stays, and "
            "the next export of the run to it goes on (keys come from the sink's environment)"
        ) from error

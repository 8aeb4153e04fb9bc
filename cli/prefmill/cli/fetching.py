"""A dataset comes from the coordinator's side to a folder here."""

import fcntl
import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from prefmill.cli.client import Client, Unreachable
from prefmill.cli.places import is_store, refuse_foreign
from prefmill.cli.stop import FAILED, Stop
from prefmill.contracts.api import ExportStatus, RunStatus
from prefmill.plugins.folders import OWN


def fetched(client: Client, run: int, export: ExportStatus, folder: Path) -> ExportStatus:
    """The export as it lies in the folder here. What was there is replaced once all has come.
    Stop if it cannot be fetched; one in an object store stays there."""
    if export.state != "written" or is_store(export.directory):
        return export
    refuse_foreign(folder)
    try:
        with (
            room_beside(folder) as aside,
            client.download(run, export.id) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            unpack(tar, aside)
            _settle(aside, folder, export)
    except (Unreachable, OSError, tarfile.TarError, EOFError) as error:
        raise Stop(
            FAILED,
            f"error: the dataset could not be fetched to {folder}: {error}",
            f"  It is kept; fetch it with: prefmill watch {run} --output {folder}",
        ) from error
    return export.model_copy(update={"directory": str(folder)})


@contextmanager
def room_beside(folder: Path) -> Generator[Path]:
    """A new folder beside it, removed at the end if it is still there. What a kill has left of
    others goes first; one that is being filled is not touched."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    start = f".{folder.name}.part-"
    for left in folder.parent.glob(f"{escape(start)}*"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    room = folder.with_name(f"{start}{secrets.token_hex(4)}")
    room.mkdir()
    try:
        with _locked(room):
            yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Hold the kernel's lock on a folder, which ends with its process. OSError if it is taken."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(held)


def unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """The plain files and folders of a tar stream, without its first folder. Links, devices and
    whatever would land outside of `folder` are errors (tarfile.TarError). Done here, as the
    filters of tarfile are not in every Python 3.11: Debian's is older."""
    for member in tar:
        parts = Path(member.name).parts[1:]
        if not (member.isfile() or member.isdir()) or ".." in parts:
            raise tarfile.ExtractError(f"{member.name!r} is no plain file within the dataset")
        place = folder.joinpath(*parts)
        (place if member.isdir() else place.parent).mkdir(parents=True, exist_ok=True)
        content = tar.extractfile(member)  # None for a folder
        if parts and content is not None:
            with place.open("wb") as file:
                shutil.copyfileobj(content, file)


def _settle(aside: Path, folder: Path, export: ExportStatus) -> None:
    (aside / OWN).mkdir(exist_ok=True)
    marker = {"prefmill": 1, "configs": sorted(export.outcome)}
    (aside / OWN / "marker.json").write_text(json.dumps(marker))
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def with_dataset(client: Client, status: RunStatus, folder: Path) -> RunStatus:
    """The status of a finished run with its dataset as it lies in the folder here."""
    if status.state != "finished" or not status.exports:
        return status
    newest = fetched(client, status.id, status.exports[0], folder)
    return status.model_copy(update={"exports": (newest, *status.exports[1:])})

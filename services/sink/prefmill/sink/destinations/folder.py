"""The folder of a dataset: whose it is, what is ready aside, and how that becomes visible.

    DIR/README.md, run.json, failures.jsonl, dropped.jsonl, CONFIG/train-00000.parquet …
                                        what is published; the prompts kept for a test in
                                        CONFIG/test-00000.parquet …
    DIR/.prefmill-export/marker.json    which configs in DIR are ours
    DIR/.prefmill-export/spec.json      which export `staged` and `shards` belong to
    DIR/.prefmill-export/shards/        one file per whole shard: its counts
    DIR/.prefmill-export/staged/        what is not yet published

An export stages all its files and publishes them at the end, so a folder shows the old dataset
until the new one is whole.
"""

import fcntl
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from prefmill.plugins.folders import OWN, marked, taken
from prefmill.sink.destinations.disk import (
    DestinationError,
    disk_errors,
    read_json,
    sync,
    write_json,
)
from prefmill.sink.domain.splitting import SIDES, Side

PAGES: Final = ("README.md", "run.json", "failures.jsonl", "dropped.jsonl")
EXTRA_PAGES: Final = ("dataset_info.json",)
"""Pages that only some formats bring."""


class DatasetFolder:
    """One export's hold on a folder, until `close`. DestinationError if the folder is not ours,
    cannot be written, or another export holds it."""

    def __init__(self, directory: Path, configs: Collection[str], digest: str) -> None:
        self.directory = directory
        self.configs = tuple(configs)
        self.own = directory / OWN
        self.staged = self.own / "staged"
        with disk_errors(directory):
            if why := taken(directory, self.configs):
                raise DestinationError(why)
            self.staged.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.own / "lock")
        try:
            self._claim(digest)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder. What is staged stays for the next attempt."""
        os.close(self._lock)

    def sidecar(self, shard: int) -> Path:
        """Where a shard's counts stand. It is written last: with it, the shard is whole."""
        return self.own / "shards" / f"{shard:05d}.json"

    def counts(self, shard: int) -> Any:
        """A whole shard's counts; None if it has to be written."""
        counts = read_json(self.sidecar(shard))
        if counts is None or not all(map(self._exists, files_of(shard, counts["outcome"]))):
            return None
        return counts

    def publish(self, files: Collection[str]) -> None:
        """Show what is staged, and remove what is ours but not in `files`. Killed half-way, it
        can be repeated."""
        ours = {*marked(self.directory), *self.configs}
        with disk_errors(self.directory):
            self._mark(sorted(ours))
            for name in sorted(files):
                _move(self.staged / name, self.directory / name)
            self._remove(_published(self.directory, ours) - set(files))
            sync(self.directory)
            shutil.rmtree(self.staged)
        self._mark(sorted(self.configs))

    def _claim(self, digest: str) -> None:
        """Throw away what another export has staged."""
        with disk_errors(self.directory):
            if read_json(self.own / "spec.json") != {"digest": digest}:
                (self.own / "spec.json").unlink(missing_ok=True)
                shutil.rmtree(self.own / "shards", ignore_errors=True)
                shutil.rmtree(self.staged, ignore_errors=True)
                write_json(self.own / "spec.json", {"digest": digest})
            if not (self.own / "marker.json").exists():
                self._mark([])

    def _mark(self, configs: list[str]) -> None:
        write_json(self.own / "marker.json", {"prefmill": 1, "configs": configs})

    def _exists(self, name: str) -> bool:
        return (self.staged / name).exists() or (self.directory / name).exists()

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            path = self.directory / name
            path.unlink(missing_ok=True)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


def shard_name(config: str, side: Side, shard: int) -> str:
    """A shard's file, below the folder."""
    return f"{config}/{side}-{shard:05d}.parquet"


def files_of(shard: int, outcome: dict[str, Any]) -> list[str]:
    """The files a shard has: none for a split of a config in which no prompt of it made data."""
    return [
        shard_name(config, side, shard)
        for config, sums in outcome.items()
        for side, records in _by_side(sums).items()
        if records
    ]


def _by_side(sums: dict[str, Any]) -> dict[Side, int]:
    return {"train": sums["records"] - sums["test"], "test": sums["test"]}


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise DestinationError(
            f"another export is writing to {path.parent.parent}: wait for it, "
            "or name another folder"
        ) from error
    return descriptor


def _move(staged: Path, path: Path) -> None:
    """A file that is not staged was moved by an earlier attempt."""
    if staged.exists():
        path.parent.mkdir(exist_ok=True)
        staged.replace(path)
        sync(path.parent)


def _published(directory: Path, configs: Iterable[str]) -> set[str]:
    kinds = [f"{side}-*.parquet" for side in SIDES]
    shards = (p for config in configs for kind in kinds for p in (directory / config).glob(kind))
    pages = (directory / page for page in (*PAGES, *EXTRA_PAGES) if (directory / page).exists())
    return {str(path.relative_to(directory)) for path in (*shards, *pages)}

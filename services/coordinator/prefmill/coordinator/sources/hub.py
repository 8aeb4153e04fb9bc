"""`{hub: org/name, split: "train[:1000]"}`: a dataset of the Hugging Face Hub, streamed.

Also a local folder that `datasets` can load. `HF_TOKEN` opens private and gated ones.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from prefmill.coordinator.sources.files import fingerprint_of
from prefmill.coordinator.sources.mapping import Record, Unreadable
from prefmill.coordinator.sources.reading import RecordSource
from prefmill.coordinator.sources.slices import Slice, parse_split
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.source import SourceOptions

BUFFER: Final = 10_000
"""Rows among which a streamed shuffle draws the next one."""
TIMEOUT_S: Final = 30.0


class HubOptions(SourceOptions):
    """What `hub` understands."""

    hub: str = Field(min_length=1, description="Repository id, `org/name`; or a local folder.")
    config: str | None = Field(default=None, description="Which config, if it has several.")
    revision: str | None = Field(default=None, description="Branch, tag or commit; main if none.")
    split: str = Field(default="train", description="A split, or slices: `train[:10%]+test[5:]`.")
    shuffle_seed: int | None = Field(
        default=None, description="Shuffles the slice, before `rows` are taken from it."
    )


class HubSource(RecordSource):
    """The rows of a dataset, through `datasets`, streamed: nothing is downloaded as a whole."""

    Options = HubOptions

    def __init__(self, options: SourceOptions) -> None:
        """RecipeError if the split cannot be read or `datasets` is not installed."""
        super().__init__(options)
        assert isinstance(options, HubOptions)
        self._options = options
        self._slices = parse_split(options.split)
        self._folder = _folder(options.hub)
        self._splits: dict[str, Any] = {}

    def records(self, skip: int) -> Iterator[Record | Unreadable]:
        """The rows of the slices, shuffled if asked."""
        with self._explained(f"split {self._options.split!r}"):
            stream = self._stream()
            rows = iter(stream.skip(skip) if skip else stream)
        row = skip
        while True:
            with self._explained(f"after row {row}"):
                record = next(rows, None)
            if record is None:
                return
            yield record
            row += 1

    def place(self) -> str:
        """The repository."""
        return f"source.hub: {self._options.hub}"

    def fingerprint(self) -> str:
        """The commit; of a folder, its files' names, sizes and times."""
        if self._folder is not None:
            files = (file for file in sorted(self._folder.rglob("*")) if file.is_file())
            return fingerprint_of(list(files))
        return digest_of("hub", self._options.hub, self._commit).hex()

    def count(self, limit: int | None) -> int | None:
        """From what the dataset says of its splits; without that, from bounds that are numbers,
        and then it is the most there can be."""
        counts = [self._count(part) for part in self._slices]
        return sum(c for c in counts if c is not None) if None not in counts else None

    def _count(self, part: Slice) -> int | None:
        size = self._stated_size(part.split)
        if size is not None:
            start, stop = part.rows(lambda: size)
            return max(0, min(size if stop is None else stop, size) - start)
        bounds = (part.start or "0", part.stop)
        if not all(bound and bound.isdigit() for bound in bounds):
            return None
        start, stop = part.rows(lambda: 0)
        return None if stop is None else stop - start

    def _stream(self) -> Any:
        parts = [self._part(part) for part in self._slices]
        stream = parts[0] if len(parts) == 1 else _datasets().concatenate_datasets(parts)
        seed = self._options.shuffle_seed
        return stream if seed is None else stream.shuffle(seed=seed, buffer_size=BUFFER)

    def _part(self, part: Slice) -> Any:
        stream = self._loaded(part.split)
        if stream.features:
            stream = stream.decode(False)  # images and sounds stay bytes
        start, stop = part.rows(self._size_of(part.split))
        stream = stream.skip(start) if start else stream
        return stream if stop is None else stream.take(stop - start)

    def _size_of(self, split: str) -> Callable[[], int]:
        """Rows of a split; where the dataset does not say, they are counted by reading them."""

        def size() -> int:
            stated = self._stated_size(split)
            return sum(1 for _ in self._loaded(split)) if stated is None else stated

        return size

    def _stated_size(self, split: str) -> int | None:
        splits: dict[str, Any] = self._loaded(split).info.splits or {}
        return splits[split].num_examples or None if split in splits else None

    def _loaded(self, split: str) -> Any:
        if split not in self._splits:
            with self._explained(f"split {split!r}"):
                self._splits[split] = _datasets().load_dataset(
                    self._options.hub if self._folder is None else str(self._folder),
                    self._options.config,
                    split=split,
                    revision=None if self._folder is not None else self._commit,
                    streaming=True,
                )
        return self._splits[split]

    @cached_property
    def _commit(self) -> str | None:
        """The commit that the revision stands for: asked first, since it fails fast and clearly,
        and so that all is read from one state of the repository."""
        options = self._options
        hub = _imported("huggingface_hub")
        with self._explained(f"revision {options.revision or 'main'!r}"):
            info = hub.HfApi().dataset_info(
                options.hub, revision=options.revision, timeout=TIMEOUT_S
            )
        return info.sha or options.revision

    @contextmanager
    def _explained(self, where: str) -> Generator[None]:
        """Anything that the libraries raise, as one line."""
        try:
            yield
        except RecipeError:
            raise
        except _foreign() as error:
            raise RecipeError(f"{self.place()}, {where}: {_line(error)}") from error


def _folder(hub: str) -> Path | None:
    path = Path(hub).expanduser()
    if path.is_dir():
        return path
    if hub.startswith(("/", ".", "~")):
        raise RecipeError(f"source.hub: there is no folder {path}; check the path")
    return None


def _imported(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise RecipeError(
            f"source.hub needs `{name}`, which is not installed; "
            "pip install 'prefmill-coordinator[hub]'"
        ) from error


def _datasets() -> Any:
    datasets = _imported("datasets")
    datasets.disable_progress_bars()
    return datasets


def _foreign() -> tuple[type[Exception], ...]:
    """What these libraries raise; the bases of a Hub error are its HTTP library's."""
    error = _imported("huggingface_hub").errors.HfHubHTTPError
    known = (_datasets().exceptions.DatasetsError, error, *error.__bases__)
    return (*known, OSError, ValueError, RuntimeError, KeyError, TypeError)


KNOWN: Final = {
    "GatedRepoError": "it is gated; ask for access on its page, and set HF_TOKEN",
    "RepositoryNotFoundError": "no such dataset; check the name, and set HF_TOKEN if it is private",
    "RevisionNotFoundError": "no such branch, tag or commit",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set; unset it, or name a local folder",
}
LOST: Final = {"ConnectionError", "ConnectError", "TimeoutException", "TransportError"}


def _line(error: Exception) -> str:
    """What is wrong and what to do, in one line."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    for kind in kinds:
        if kind in KNOWN:
            return KNOWN[kind]
    line = " ".join(str(error).split())[:300] or kinds[0]
    lost = "; check the connection, and run again to go on" if LOST.intersection(kinds) else ""
    return line + lost

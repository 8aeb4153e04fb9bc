"""`hub`: the dataset as a repository of the Hugging Face Hub, private unless told otherwise.

What goes there: card, `run.json` and the shards of every config. `failures.jsonl` stays here: it
may quote prompts. Shards are sent one by one, then shown together by one commit; what was sent
before an upload broke off is not sent again, since the Hub knows objects by their content.

The token comes from `HF_TOKEN`, the address from `HF_ENDPOINT`.
"""

import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn, TypeVar

import pyarrow.parquet as pq
from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.plugins.destination import DestinationError

parquet: Any = pq

TRIES: Final = 5
STAYS: Final = frozenset({"failures.jsonl", "dropped.jsonl"})
MARK: Final = "- prefmill"
"""The tag by which a card says that prefmill wrote it."""

T = TypeVar("T")

_INSTALL: Final = "huggingface_hub is not installed: pip install 'prefmill-sink[hub]'"


class HubOptions(Strict):
    """`hub: me/name`, or `hub: {repo: me/name, private: false}`."""

    repo: str = Field(
        alias="hub",
        pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$",
        description="Repository id, `owner/name`; made if it is not there.",
    )
    private: bool = Field(default=True, description="Who may see it, when it is made.")
    revision: str = Field(default="main", description="Branch that is written to.")
    every: int | None = Field(
        default=None,
        ge=1,
        description="Finished rows between two pushes while the run goes on; it is pushed at the "
        "end anyway.",
    )


class HubDestination:
    """Publishes to one repository. `pause` waits between tries."""

    Options: ClassVar = HubOptions

    def __init__(self, options: HubOptions, pause: Callable[[float], None] = time.sleep) -> None:
        self.options = options
        self.every = options.every
        self.pause = pause

    def missing(self) -> str | None:
        """The library or a token, where there is none."""
        try:
            from huggingface_hub import get_token
        except ImportError:
            return _INSTALL
        return None if get_token() else "HF_TOKEN is not set in the environment"

    def publish(self, folder: Path) -> str:
        """Send and show the dataset; its address. DestinationError if the Hub refuses, cannot be
        reached, or holds a dataset of another kind under that name."""
        api, repo = _api(), self.options.repo
        self._try(
            lambda: api.create_repo(
                repo, repo_type="dataset", private=self.options.private, exist_ok=True
            )
        )
        there = self._try(
            lambda: api.list_repo_files(repo, repo_type="dataset", revision=self.options.revision)
        )
        self._check(api, folder, set(there))
        additions = list(self._sent(api, folder))
        self._show(api, additions, there)
        return f"{api.endpoint}/datasets/{repo}"

    def _sent(self, api: Any, folder: Path) -> Iterator[Any]:
        """Each file, once the Hub has its content."""
        from huggingface_hub import CommitOperationAdd

        for path in _files(folder):
            addition = CommitOperationAdd(str(path.relative_to(folder)), path)
            with self._in_words():
                api.preupload_lfs_files(
                    self.options.repo,
                    [addition],
                    repo_type="dataset",
                    revision=self.options.revision,
                    free_memory=False,
                )
            yield addition

    def _show(self, api: Any, additions: list[Any], there: list[str]) -> None:
        """One commit: what is new, and without the shards that are no longer part of it."""
        from huggingface_hub import CommitOperationDelete

        ours = {addition.path_in_repo for addition in additions}
        configs = {path.split("/")[0] for path in ours if "/" in path}
        stale = [p for p in there if p not in ours and p.split("/")[0] in configs and "/" in p]
        with self._in_words():
            api.create_commit(
                self.options.repo,
                [*additions, *map(CommitOperationDelete, stale)],
                commit_message="Write the dataset with prefmill",
                repo_type="dataset",
                revision=self.options.revision,
            )

    def _check(self, api: Any, folder: Path, there: set[str]) -> None:
        """Write over nothing but what prefmill wrote with the same columns."""
        if not there - {".gitattributes"}:
            return
        with tempfile.TemporaryDirectory() as aside:
            card = self._fetched(api, "README.md", aside) if "README.md" in there else None
            if card is None or MARK not in card.read_text(encoding="utf-8").splitlines():
                raise DestinationError(
                    f"{self._name} holds a dataset that prefmill did not write: "
                    "name another repository under output.hub"
                )
            for config, path in _firsts(folder).items():
                theirs = sorted(name for name in there if _is_shard(name, config))
                if theirs:
                    self._same_columns(path, self._fetched(api, theirs[0], aside), config)

    def _same_columns(self, ours: Path, theirs: Path, config: str) -> None:
        new, old = (parquet.read_schema(path).names for path in (ours, theirs))
        if new != old:
            raise DestinationError(
                f"{self._name} has the columns {', '.join(old)} in {config!r}, and this dataset "
                f"{', '.join(new)}: name another repository under output.hub, or delete that one"
            )

    def _fetched(self, api: Any, name: str, aside: str) -> Path:
        return Path(
            self._try(
                lambda: api.hf_hub_download(
                    self.options.repo,
                    name,
                    repo_type="dataset",
                    revision=self.options.revision,
                    local_dir=aside,
                )
            )
        )

    @property
    def _name(self) -> str:
        return f"the Hub's {self.options.repo}"

    def _try(self, call: Callable[[], T]) -> T:
        """The call, again after what may pass: lost connections, 429, 5xx. For calls that
        huggingface_hub does not repeat by itself; uploads and commits it does, for half a minute.
        """
        for n in range(TRIES - 1):
            try:
                return call()
            except Exception as error:  # noqa: BLE001 - sorted by `_may_pass`
                if not _may_pass(error):
                    self._refuse(error)
            self.pause(2.0**n)
        with self._in_words():
            return call()

    @contextmanager
    def _in_words(self) -> Generator[None]:
        """Say what went wrong as DestinationError, and what to do."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - what is not of the Hub is raised again
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        cause = _cause(error)
        status = _status(cause)
        if status is None and not _may_pass(error):
            raise error
        raise DestinationError(self._sentence(status, cause)) from error

    def _sentence(self, status: int | None, cause: BaseException) -> str:
        if status in (401, 403):
            return (
                f"the Hub refuses to write {self.options.repo} ({status}): set HF_TOKEN to a token "
                "that may write there, and export again"
            )
        said = (str(cause).strip() or repr(cause)).splitlines()[0]
        what = f"cannot be reached ({said})" if status is None else said
        return f"{self._name} {what}: the dataset is whole in its folder; export again to go on"


def _cause(error: BaseException) -> BaseException:
    """huggingface_hub wraps what befell an object's upload in a RuntimeError."""
    wrapped = isinstance(error, RuntimeError) and error.__cause__ is not None
    return error.__cause__ or error if wrapped else error


def _status(error: BaseException) -> int | None:
    from huggingface_hub.errors import HfHubHTTPError

    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _may_pass(error: BaseException) -> bool:
    """Whether the same call may do better later: no connection, 429, 5xx."""
    from huggingface_hub.errors import (
        HTTPError,  # pyright: ignore[reportPrivateImportUsage] - of whichever library it uses
    )

    cause = _cause(error)
    status = _status(cause)
    if status is None:
        return isinstance(cause, (HTTPError, OSError))
    return status == 429 or status >= 500


def _api() -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise DestinationError(f"output.hub: {_INSTALL}") from error
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=os.environ.get("HF_TOKEN"))


def _files(folder: Path) -> list[Path]:
    """The dataset's files, shards first, so that a card never tells of what is not there."""
    shards = sorted(folder.glob("*/*.parquet"))
    pages = sorted(path for path in folder.iterdir() if path.is_file())
    return [*shards, *(p for p in pages if p.name not in STAYS and not p.name.startswith("."))]


def _firsts(folder: Path) -> dict[str, Path]:
    """Config → one shard of it."""
    return {path.parent.name: path for path in _files(folder) if path.parent != folder}


def _is_shard(name: str, config: str) -> bool:
    return name.startswith(f"{config}/") and name.endswith(".parquet")

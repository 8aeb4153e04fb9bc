"""`argilla`: rows with their ratings as suggestions, for people to check.

Needs the format `raw`, which holds all ratings. Records carry the row's id as external id and are
upserted, so an upload that broke off can be repeated, and nothing stands there twice. The key comes
from `ARGILLA_API_KEY`.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from pydantic import Field, model_validator

from prefmill.contracts.base import Strict
from prefmill.plugins.destination import DestinationError
from prefmill.sink.destinations.argilla_client import KEY, ArgillaClient
from prefmill.sink.destinations.argilla_fields import Row, fields_of
from prefmill.sink.destinations.argilla_layout import (
    APART,
    HIGHEST,
    Asked,
    Layout,
    Range,
    asked_of,
    guidelines_of,
)

BATCH: Final = 100
"""Records a call; Argilla takes 500, but long texts make them slow."""
COLUMNS: Final = ("id", "generations", "generation_models", "verdicts")
"""Of `raw`, beside those of the fields."""


class ArgillaOptions(Strict):
    """`argilla: https://host`, or `argilla: {url: https://host, workspace: team, …}`."""

    url: str = Field(alias="argilla", pattern=r"^https?://", description="The server.")
    workspace: str | None = Field(
        default=None, description="Its workspace; may be left out where there is only one."
    )
    dataset: str | None = Field(default=None, description="Dataset name; the run's by default.")
    guidelines: str | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="What annotators are told; by default what each rubric says of its aspects.",
    )
    generations: int = Field(default=4, ge=1, le=20, description="Texts shown of each prompt.")
    aspects: tuple[str, ...] = Field(default=(), description="Aspects shown; all by default.")
    scales: dict[str, Range] = Field(
        default={}, description="Question → [lowest, highest], where the rubric's own is not meant."
    )
    low_agreement_first: bool = Field(
        default=False, description="Rows on which judges differ most come first."
    )

    @model_validator(mode="after")
    def _fit(self) -> Self:
        for aspect, (low, high) in self.scales.items():
            if not 0 <= high - low - 1 < HIGHEST - 1 or high + max(0, 1 - low) > HIGHEST:
                raise ValueError(f"scales.{aspect}: Argilla's ratings lie within 1 and {HIGHEST}")
        return self


class ArgillaDestination:
    """Fills one dataset of one server. `pause` waits between tries."""

    Options: ClassVar = ArgillaOptions
    formats: ClassVar = ("raw",)

    def __init__(
        self, options: ArgillaOptions, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.options = options
        self.pause = pause

    def missing(self) -> str | None:
        """The key, where there is none."""
        return None if os.environ.get(KEY) else f"{KEY} is not set in the environment"

    def refuses(self, manifest: Mapping[str, Any]) -> str | None:
        """Why it has nothing to show of such a dataset, or cannot show it."""
        asked = self._asked(manifest)
        if not manifest["judges"]:
            return "there are no ratings to show: name a judge, and aspects that it rates"
        if not asked:
            return _unrated(manifest["rubrics"], self.options.aspects)
        for name, each in asked.items():
            if each.scale[1] - each.scale[0] >= HIGHEST:
                return (
                    f"{name!r} is rated from {each.scale[0]} to {each.scale[1]}, and Argilla has "
                    f"{HIGHEST} ratings at most: name the others as output.argilla.aspects"
                )
        return None

    def publish(self, folder: Path) -> str:
        """Make the dataset, or go on with it. DestinationError if the server refuses, cannot be
        reached, or has another dataset of that name."""
        client = self._client()
        manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        layout = self._layout(manifest)
        dataset = self._dataset(client, manifest)
        ids = _made(client, dataset, layout)
        rows = iter(self._rows(folder, layout))
        while batch := list(islice(rows, BATCH)):
            records = [layout.record(row, ids) for row in batch]
            client.call("PUT", f"datasets/{dataset['id']}/records/bulk", {"items": records})
        return f"{client.url}/dataset/{dataset['id']}/annotation-mode"

    def _client(self) -> ArgillaClient:
        if why := self.missing():
            raise DestinationError(f"output.argilla: {why}, and export again")
        return ArgillaClient(self.options.url, os.environ[KEY], self.pause)

    def _layout(self, manifest: dict[str, Any]) -> Layout:
        if why := self.refuses(manifest):
            raise DestinationError(f"output.argilla: {why}")
        wanted = self.options
        shown = fields_of(manifest["rubrics"], wanted.aspects, wanted.generations)
        return Layout(wanted.generations, manifest["judges"], self._asked(manifest), shown)

    def _asked(self, manifest: Mapping[str, Any]) -> dict[str, Asked]:
        return asked_of(manifest["rubrics"], self.options.scales, self.options.aspects)

    def _dataset(self, client: ArgillaClient, manifest: dict[str, Any]) -> dict[str, Any]:
        """The dataset of the run, made if it is not there."""
        name = self.options.dataset or manifest["name"]
        workspace = self._workspace(client)
        for found in client.items("me/datasets"):
            if (found["name"], found["workspace_id"]) == (name, workspace):
                return found
        asked = {
            "name": name,
            "workspace_id": workspace,
            "guidelines": self.options.guidelines or guidelines_of(manifest["rubrics"]),
            "allow_extra_metadata": True,
        }
        return client.call("POST", "datasets", asked)

    def _workspace(self, client: ArgillaClient) -> str:
        there = {found["name"]: found["id"] for found in client.items("me/workspaces")}
        name = self.options.workspace
        if name is None and len(there) == 1:
            return next(iter(there.values()))
        if name not in there:
            raise DestinationError(
                f"{client.url} has no workspace {name!r} for this key: set "
                f"output.argilla.workspace to one of {', '.join(sorted(there)) or '(none)'}"
            )
        return there[name]

    def _rows(self, folder: Path, layout: Layout) -> Iterator[Row]:
        import pyarrow.dataset as ds

        arrow: Any = ds
        shards = sorted(map(str, (folder / "raw").glob("*.parquet")))
        if not shards:
            return
        table = arrow.dataset(shards)
        columns = _columns(layout)
        missing = [name for name in columns if name not in table.schema.names]
        if missing:
            raise DestinationError(
                f"output.argilla needs the columns {', '.join(missing)} of raw: "
                "keep them in output.columns"
            )
        first = self.options.low_agreement_first
        yield from _by_disagreement(table, layout) if first else _all(table, columns)


def _columns(layout: Layout) -> list[str]:
    shown = [field.column for field in layout.shown if field.column is not None]
    return list(dict.fromkeys((*COLUMNS, *shown)))


def _all(table: Any, columns: list[str]) -> Iterator[Row]:
    for batch in table.to_batches(columns=columns, batch_size=BATCH):
        yield from batch.to_pylist()


def _by_disagreement(table: Any, layout: Layout) -> Iterator[Row]:
    """In memory stands one number for each row, and one batch."""
    columns = _columns(layout)
    apart = [-layout.disagreement(row) for row in _all(table, ["verdicts"])]
    order = sorted(range(len(apart)), key=apart.__getitem__)
    for start in range(0, len(order), BATCH):
        yield from table.take(order[start : start + BATCH], columns=columns).to_pylist()


def _made(client: ArgillaClient, dataset: dict[str, Any], layout: Layout) -> dict[str, str]:
    """Question → its id, once the dataset has all fields and questions and is open to records."""
    at = f"datasets/{dataset['id']}"
    draft = dataset["status"] == "draft"
    _complete(client, f"{at}/fields", layout.fields(), draft, dataset["name"])
    _complete(client, f"{at}/questions", layout.questions(), draft, dataset["name"])
    if draft:
        property_ = {"name": APART, "title": "Disagreement", "settings": {"type": "float"}}
        if APART not in {found["name"] for found in client.items(f"me/{at}/metadata-properties")}:
            client.call("POST", f"{at}/metadata-properties", property_)
        client.call("PUT", f"{at}/publish")
    return {found["name"]: found["id"] for found in client.items(f"{at}/questions")}


def _complete(
    client: ArgillaClient, path: str, wanted: list[dict[str, Any]], draft: bool, name: str
) -> None:
    """Make what is missing of a draft; a dataset in use must have exactly what is wanted."""
    there = {found["name"]: _values(found) for found in client.items(path)}
    ours = {made["name"]: _values(made) for made in wanted}
    other = {key for key, values in there.items() if ours.get(key, ()) != values}
    if other or (not draft and there.keys() != ours.keys()):
        raise DestinationError(
            f"Argilla's dataset {name!r} has other {path.rsplit('/', 1)[1]} than this run: name "
            "another one as output.argilla.dataset, or delete it"
        )
    for made in wanted:
        if made["name"] not in there:
            client.call("POST", path, made)


def _unrated(rubrics: Iterable[Mapping[str, Any]], only: Sequence[str]) -> str:
    """What is told where nothing that is shown is rated."""
    if rated := list(asked_of(rubrics, {}, ())):
        return f"none of `aspects` ({', '.join(only)}) is rated; there are: {', '.join(rated)}"
    names = " and ".join(rubric["name"] for rubric in rubrics)
    return (
        f"there are no ratings to show: {names} only compares answers; name a rubric that rates "
        "them beside it, or leave argilla out"
    )


def _values(made: dict[str, Any]) -> list[int] | None:
    """The values of a rating question; None of anything else."""
    options = made["settings"].get("options")
    return None if options is None else sorted(option["value"] for option in options)

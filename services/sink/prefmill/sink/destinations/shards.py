"""An export on its way: scored rows become shards, and shards a dataset.

Shard k holds the records of the prompts at positions [k × shard_rows, (k + 1) × shard_rows), so an
export that was killed goes on at the first shard that is not whole, and its bytes are the same.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

from pydantic import JsonValue

from prefmill.contracts.api import FormatOutcome
from prefmill.contracts.reasons import OUTPUT_TRANSFORM_FAILED
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.format import Format, ScoredRow, Written, arrow_schema
from prefmill.plugins.outputs import pages_of
from prefmill.sink.destinations.card import CardFacts, card_of
from prefmill.sink.destinations.disk import write_json, write_lines
from prefmill.sink.destinations.folder import PAGES, DatasetFolder, files_of, shard_name
from prefmill.sink.destinations.parquet import ParquetShard, Unwritable
from prefmill.sink.domain import summary
from prefmill.sink.domain.figures import Figures, figures_of
from prefmill.sink.domain.outcome import NOTHING, Tally, added
from prefmill.sink.domain.splitting import SIDES, Side, Split

log: Final = logging.getLogger("prefmill.sink")

T = TypeVar("T")


class ShardWriter:
    """Writes one export. Blocking: run it in a thread. `close` it, or use it in a `with`.

    `spec` is whatever determines the data (run, revision, formats, pool, pairing, id of the
    export): the same one goes on where it was, another one starts anew. A format that fails leaves
    its configs out; RecipeError as soon as every format has.
    """

    def __init__(
        self,
        directory: Path,
        formats: Sequence[Format],
        shard_rows: int,
        spec: JsonValue,
        split: Split,
    ) -> None:
        self.formats = tuple(formats)
        self.schemas = schemas_of(formats)
        self.shard_rows = shard_rows
        self.split = split
        sides = [split.test, split.seed]
        columns = {name: str(schema) for name, schema in self.schemas.items()}
        digest = digest_of(spec, shard_rows, columns, sides).hex()
        self._folder = DatasetFolder(directory, self.schemas, digest)
        self._outcome = dict.fromkeys(self.schemas, NOTHING)
        self._summary = summary.empty()
        self._files: dict[str, str] = {}
        """Those of whole shards, with their SHA-256."""
        self.failed: dict[str, str] = {}
        """Configs that are not written, as their format failed, and what is wrong."""
        self.rows = 0
        """Prompts in whole shards and in the open one."""
        self._shard = 0
        self._resume()
        self._begin()

    @property
    def next_position(self) -> int:
        """Rows before it are written already; `add` wants those from it on, in order."""
        return max(self._shard * self.shard_rows, self._position + 1)

    @property
    def figures(self) -> Figures:
        """Agreement, bias and counts of all whole shards."""
        return figures_of(self._summary)

    def add(self, row: ScoredRow) -> None:
        """Write one row; a shard is closed when a row beyond it comes."""
        position = row.row.position
        if position < self.next_position:
            raise ValueError(f"row {position} after row {self.next_position - 1}")
        while position >= (self._shard + 1) * self.shard_rows:
            self.close_shard()
        self._position = position
        self._prompts += 1
        self.rows += 1
        summary.count(self._counts, row)
        if row.left_out and row.left_out.reason == OUTPUT_TRANSFORM_FAILED:
            self._failures.append({**_named(row), "cell": None, **row.left_out.plain()})
        side = self.split.side(row.row.prompt)
        lost: dict[str, JsonValue] = {}
        self._each(lambda form: self._take_in(form, row, side, lost))
        if lost:
            self._dropped.append({**_named(row), "configs": lost})

    def _take_in(
        self, form: Format, row: ScoredRow, side: Side, lost: dict[str, JsonValue]
    ) -> None:
        for config, written in _made(form, row).items():
            if written.outcome != "out":
                lost[config] = written.reason or written.outcome
            self._tallies[config].count(written, side)
            self._open[config, side].add(written.records, row.row.prompt.id)

    def close_shard(self) -> None:
        """Make the open shard whole, its counts last."""
        self._each(self._close)
        tallies = self._written(self._tallies)
        outcome = {name: tally.outcome().model_dump() for name, tally in tallies.items()}
        counts = {
            "prompts": self._prompts,
            "outcome": outcome,
            "files": {name: self._hash(name) for name in files_of(self._shard, outcome)},
            "failed": self.failed,
            "failures": self._failures,
            "dropped": self._dropped,
            "summary": self._counts,
        }
        write_json(self._folder.sidecar(self._shard), counts)
        self._take(counts)
        self._begin()

    def finish(
        self,
        facts: CardFacts,
        manifest: Mapping[str, JsonValue],
        failures: Iterable[Mapping[str, JsonValue]],
    ) -> dict[str, FormatOutcome]:
        """Write card, `run.json` (the manifest with outcome and summary), `failures.jsonl` (one
        line for each failure, then for each row on which a transform failed) and `dropped.jsonl`
        (one for each row without a record in some config), and publish everything. Returns the
        outcome by config, without those of formats that failed."""
        if self._prompts:
            self.close_shard()
        done = self._written(self._outcome)
        staged = self._folder.staged
        opens = opening(self.formats, done)
        card = card_of(facts, opens, done, self.figures, self.failed, self._contents(done))
        write_lines(staged / "README.md", [card.rstrip()])
        outcome = {name: sums.model_dump() for name, sums in done.items()}
        told = {"outcome": outcome, "not_written": list(self.failed), "summary": self.figures}
        write_json(staged / "run.json", {**manifest, **told})
        write_lines(staged / "failures.jsonl", _json(chain(failures, self._told("failures"))))
        write_lines(staged / "dropped.jsonl", _json(self._without_records()))
        formed = [form for form in self.formats if form.configs().keys() <= done.keys()]
        pages = {name: value for form in formed for name, value in pages_of(form).items()}
        for name, value in pages.items():
            write_json(staged / name, value)
        files = [name for name in self._files if name.split("/")[0] not in self.failed]
        self._folder.publish([*files, *PAGES, *pages])
        return done

    @property
    def problems(self) -> list[str]:
        """A line for each format that failed."""
        return list(dict.fromkeys(self.failed.values()))

    def close(self) -> None:
        """Drop the open shard and let go of the folder."""
        for shard in self._open.values():
            shard.abort()
        self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _close(self, form: Format) -> None:
        for config, side in product(form.configs(), SIDES):
            self._open[config, side].close()

    def _written(self, by_config: Mapping[str, T]) -> dict[str, T]:
        return {name: value for name, value in by_config.items() if name not in self.failed}

    def _told(self, what: str) -> Iterator[dict[str, JsonValue]]:
        """Of all whole shards; those of an older version lack some."""
        for shard in range(self._shard):
            yield from self._folder.counts(shard).get(what, ())

    def _without_records(self) -> Iterator[dict[str, JsonValue]]:
        """Rows with what became of them in the configs that are written: a reason, or `tie`."""
        for told in self._told("dropped"):
            if configs := self._written(cast("dict[str, JsonValue]", told["configs"])):
                yield {**told, "configs": configs}

    def _each(self, work: Callable[[Format], None]) -> None:
        """For each format. One that fails is left out from here on; the others, if any, go on."""
        for form in self.formats:
            if self.failed and not self.failed.keys().isdisjoint(form.configs()):
                continue
            try:
                work(form)
            except (Unwritable, ValueError) as error:
                log.warning("%s", self._failed(form, str(error)), exc_info=True)
                if self.failed.keys() >= self.schemas.keys():
                    raise RecipeError(*self.problems) from error

    def _failed(self, form: Format, said: str) -> str:
        """What is told of it."""
        configs, place = form.configs(), getattr(form, "place", "")
        where = "" if said.startswith(place.rpartition(":")[0]) else f"{place}: "
        line = f"the format {', '.join(configs)} is not written: {where}{said}"
        self.failed |= dict.fromkeys(configs, line)
        for config, side in product(configs, SIDES):
            self._open[config, side].abort()
        return line

    def _resume(self) -> None:
        while (counts := self._folder.counts(self._shard)) is not None:
            self.rows += counts["prompts"]
            self._take(counts)

    def _take(self, counts: Mapping[str, Any]) -> None:
        for name, sums in counts["outcome"].items():
            self._outcome[name] = added(self._outcome[name], FormatOutcome.model_validate(sums))
        self.failed |= counts["failed"]
        summary.add(self._summary, counts["summary"])
        unknown = dict.fromkeys(files_of(self._shard, counts["outcome"]), "")
        self._files |= counts.get("files", unknown)
        self._shard += 1

    def _hash(self, name: str) -> str:
        with (self._folder.staged / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _contents(self, configs: Iterable[str]) -> dict[str, str]:
        """Config → a digest of its files."""
        return {
            config: digest_of(
                [(n, sha) for n, sha in self._files.items() if n.split("/")[0] == config]
            ).hex()
            for config in configs
        }

    def _begin(self) -> None:
        self._position = -1
        self._prompts = 0
        self._tallies = {config: Tally() for config in self.schemas}
        self._counts = summary.empty()
        self._failures: list[dict[str, JsonValue]] = []
        self._dropped: list[dict[str, JsonValue]] = []
        self._open = {
            (config, side): ParquetShard(
                self._folder.staged / shard_name(config, side, self._shard), schema
            )
            for config, schema in self.schemas.items()
            for side in SIDES
        }


def _named(row: ScoredRow) -> dict[str, JsonValue]:
    """A row for a person: two rows may come with the same id."""
    return {"id": row.row.prompt.id, "row": row.row.position}


def _json(records: Iterable[Mapping[str, JsonValue]]) -> Iterator[str]:
    return (json.dumps(dict(record), ensure_ascii=False) for record in records)


def _made(form: Format, row: ScoredRow) -> dict[str, Written]:
    """What the row becomes. Unwritable if the format fails on it."""
    if row.left_out is not None:
        return _left_out(form, row.left_out.reason)
    try:
        return form.write(row)
    except RecipeError as error:
        raise Unwritable(f"{error} (row {row.row.prompt.id!r})") from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise Unwritable(f"{said} (row {row.row.prompt.id!r}); see the log") from error


def _left_out(form: Format, reason: str) -> dict[str, Written]:
    """A row that a transform took out makes no data in any config."""
    return dict.fromkeys(form.configs(), Written((), "dropped", reason))


def schemas_of(formats: Sequence[Format]) -> dict[str, Any]:
    """Config → Arrow schema of all formats."""
    return {
        config: arrow_schema(schema)
        for form in formats
        for config, schema in form.configs().items()
    }


def opening(formats: Sequence[Format], outcome: Mapping[str, FormatOutcome]) -> str:
    """The config that opens where none is named: the first that trainers read, of those that hold
    records; empty if none does."""
    ordered = sorted(formats, key=lambda form: not form.training)
    named = (config for form in ordered for config in form.configs() if config in outcome)
    return next((config for config in named if outcome[config].records), "")

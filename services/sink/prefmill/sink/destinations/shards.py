"""An export on its way: scored rows become shards, and shards a dataset.

Shard k holds the records of the prompts at positions [k × shard_rows, (k + 1) × shard_rows), so an
export that was killed goes on at the first shard that is not whole, and its bytes are the same.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import JsonValue

from prefmill.contracts.api import FormatOutcome
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.format import Format, ScoredRow, Written, arrow_schema
from prefmill.plugins.outputs import pages_of
from prefmill.sink.destinations.card import CardFacts, card_of
from prefmill.sink.destinations.disk import write_json, write_lines
from prefmill.sink.destinations.folder import PAGES, DatasetFolder, files_of, shard_name
from prefmill.sink.destinations.parquet import ParquetShard
from prefmill.sink.domain import summary
from prefmill.sink.domain.figures import Figures, figures_of
from prefmill.sink.domain.outcome import NOTHING, Tally, added
from prefmill.sink.domain.splitting import SIDES, Split


class ShardWriter:
    """Writes one export. Blocking: run it in a thread. `close` it, or use it in a `with`.

    `spec` is whatever determines the data (run, revision, formats, pool, pairing, id of the
    export): the same one goes on where it was, another one starts anew.
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
        digest = digest_of(spec, shard_rows, sorted(self.schemas), sides).hex()
        self._folder = DatasetFolder(directory, self.schemas, digest)
        self._outcome = dict.fromkeys(self.schemas, NOTHING)
        self._summary = summary.empty()
        self._files: list[str] = []
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
        side = self.split.side(row.row.prompt)
        for form in self.formats:
            made = form.write(row) if row.left_out is None else _left_out(form, row.left_out)
            for config, written in made.items():
                self._tallies[config].count(written, side)
                self._open[config, side].add(written.records)

    def close_shard(self) -> None:
        """Make the open shard whole, its counts last."""
        for shard in self._open.values():
            shard.close()
        counts = {
            "prompts": self._prompts,
            "outcome": {
                name: tally.outcome().model_dump() for name, tally in self._tallies.items()
            },
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
        """Write card, `run.json` (the manifest with outcome and summary) and `failures.jsonl`
        (one line for each failure), and publish everything. Returns the outcome by config."""
        if self._prompts:
            self.close_shard()
        staged = self._folder.staged
        opens = opening(self.formats, self._outcome)
        card = card_of(facts, opens, self._outcome, self.figures)
        write_lines(staged / "README.md", [card.rstrip()])
        outcome = {name: sums.model_dump() for name, sums in self._outcome.items()}
        write_json(staged / "run.json", {**manifest, "outcome": outcome, "summary": self.figures})
        lines = (json.dumps(dict(failure), ensure_ascii=False) for failure in failures)
        write_lines(staged / "failures.jsonl", lines)
        pages = {name: value for form in self.formats for name, value in pages_of(form).items()}
        for name, value in pages.items():
            write_json(staged / name, value)
        self._folder.publish([*self._files, *PAGES, *pages])
        return dict(self._outcome)

    def outcome(self) -> dict[str, FormatOutcome]:
        """By config, the open shard included."""
        return {
            name: added(sums, self._tallies[name].outcome()) for name, sums in self._outcome.items()
        }

    def close(self) -> None:
        """Drop the open shard and let go of the folder."""
        for shard in self._open.values():
            shard.abort()
        self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _resume(self) -> None:
        while (counts := self._folder.counts(self._shard)) is not None:
            self.rows += counts["prompts"]
            self._take(counts)

    def _take(self, counts: Mapping[str, Any]) -> None:
        for name, sums in counts["outcome"].items():
            self._outcome[name] = added(self._outcome[name], FormatOutcome.model_validate(sums))
        summary.add(self._summary, counts["summary"])
        self._files += files_of(self._shard, counts["outcome"])
        self._shard += 1

    def _begin(self) -> None:
        self._position = -1
        self._prompts = 0
        self._tallies = {config: Tally() for config in self.schemas}
        self._counts = summary.empty()
        self._open = {
            (config, side): ParquetShard(
                self._folder.staged / shard_name(config, side, self._shard), schema
            )
            for config, schema in self.schemas.items()
            for side in SIDES
        }


def _left_out(form: Format, reason: str) -> dict[str, Written]:
    """A row that a transform took out makes no data in any config."""
    return dict.fromkeys(form.configs(), Written((), "dropped", reason))


def schemas_of(formats: Sequence[Format]) -> dict[str, Any]:
    """Config → Arrow schema of all formats. RecipeError if two write the same config."""
    schemas: dict[str, Any] = {}
    for form in formats:
        for config, schema in form.configs().items():
            if config in schemas:
                raise RecipeError(f"two formats write the config {config!r}: name it once")
            schemas[config] = arrow_schema(schema)
    if not schemas:
        raise RecipeError("no format is named: name at least one, for example `raw`")
    return schemas


def opening(formats: Sequence[Format], outcome: Mapping[str, FormatOutcome]) -> str:
    """The config that opens where none is named: the first that trainers read, of those that hold
    records; empty if none does."""
    ordered = sorted(formats, key=lambda form: not form.training)
    filled = (config for form in ordered for config in form.configs() if outcome[config].records)
    return next(filled, "")

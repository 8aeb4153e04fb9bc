"""The end of a run: the sum that adds up, where the dataset is, and one pair of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from prefmill.cli.show.numbers import count, plural, table
from prefmill.cli.show.pace import called
from prefmill.contracts.api import ExportStatus, FormatOutcome, RunStatus
from prefmill.contracts.money import dollars
from prefmill.contracts.reasons import NOT_FINISHED, NOT_JUDGED, OUTPUT_TRANSFORM_FAILED

_TOLD: Final = ("raw", "distilabel", "ultrafeedback", "helpsteer")
"""Formats that tell what was answered: trainers read the others, which are shown before them."""

_SHOWN: Final = 200

_NOTHING: Final = {
    NOT_FINISHED: "prompts still wait for answers or verdicts; go on with the run first",
    NOT_JUDGED: "no judge of the run was asked for what such a format is made of",
}
"""Reason → what to know of it where it is why a dataset is empty."""


def sum_line(config: str, sums: FormatOutcome) -> str:
    """`trl: 805 prompts = 790 out + 10 ties + 5 dropped (5 too-few-generations)`."""
    dropped = sum(sums.dropped.values())
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(sums.dropped.items()))
    line = (
        f"{config}: {plural(sums.prompts, 'prompt')} = {sums.out:,} out + "
        f"{plural(sums.ties, 'tie')} + {dropped:,} dropped"
    )
    line += f" ({reasons})" if dropped else ""
    line += f"; {plural(sums.test, 'record')} kept for a test" if sums.test else ""
    return line if sums.records == sums.out else f"{line}; {plural(sums.records, 'record')}"


def run_lines(status: RunStatus, before: RunStatus | None = None) -> list[str]:
    """What a finished run paid since it was as `before`, and in all if that is more; what was
    reused since, and what failed."""
    lines = [_paid(status, before)]
    if status.asked_again:
        calls = plural(status.asked_again, "call was", "calls were")
        lines.append(
            f"{calls} with workers when everything was killed, and made again: what those that "
            "had begun cost the first time is not known, and not in that sum"
        )
    failed = sum(slot.failed for slot in status.slots)
    broken = max((transforms_failed(export) for export in status.exports[:1]), default=0)
    if failed or status.rows_failed or broken:
        cells = f"{plural(failed, 'answer or verdict', 'answers or verdicts')} failed for good"
        rows = f"{plural(status.rows_failed, 'prompt')} could not be used"
        after = f"a transform after pooling failed on {plural(broken, 'prompt')}"
        said = [(rows, status.rows_failed), (cells, failed), (after, broken)]
        where = f"{status.exports[0].directory}/" if status.exports else ""
        lines.append(f"{', '.join(part for part, n in said if n)}; see {where}failures.jsonl")
    return lines


def _paid(status: RunStatus, before: RunStatus | None) -> str:
    reused, unpriced = _reused(status), [s.alias for s in called(status) if s.cost_usd is None]
    reused -= _reused(before) if before else 0
    spent = _tokens(status)
    if before and (before.input_tokens or before.output_tokens):
        since = {
            key: max(0, getattr(status, key) - getattr(before, key))
            for key in ("input_tokens", "output_tokens", "cost_usd")
        }
        spent = f"{_tokens(status.model_copy(update=since))} now; in all: {spent}"
    line = f"paid: {spent}"
    line += f" (no price known for {', '.join(unpriced)})" if unpriced else ""
    cells = plural(reused, "answer or verdict", "answers and verdicts")
    return f"{line}; {cells} reused" if reused > 0 else line


def _tokens(status: RunStatus) -> str:
    read, written = count(status.input_tokens), count(status.output_tokens)
    return f"{read} tokens read, {written} written, {dollars(status.cost_usd)}"


def _reused(status: RunStatus) -> int:
    return sum(slot.reused for slot in called(status))


def transforms_failed(export: ExportStatus) -> int:
    """Prompts of a dataset on which a transform after pooling failed."""
    made = export.outcome.values()
    return max((sums.dropped.get(OUTPUT_TRANSFORM_FAILED, 0) for sums in made), default=0)


def export_lines(export: ExportStatus) -> list[str]:
    """The sums of an export, where it is, and of the first format that has any one record: prompt,
    chosen, rejected, shortened."""
    lines = [sum_line(config, sums) for config, sums in export.outcome.items()]
    if any(sums.ties or sums.dropped for sums in export.outcome.values()):
        lines.append(f"ties and dropped prompts: {export.directory}/dropped.jsonl")
    lines.append(f"dataset: {export.directory}")
    filled = [config for config, sums in export.outcome.items() if sums.records]
    if not filled or "://" in export.directory:
        return lines
    shown = min(filled, key=lambda config: config.startswith(_TOLD))
    sums = export.outcome[shown]
    split = "train" if sums.records > sums.test else "test"
    name = json.dumps(export.directory)
    lines.append(f'load it:  datasets.load_dataset({name}, "{shown}", split="{split}")')
    return [*lines, *_example(Path(export.directory) / shown)]


def nothing_made(export: ExportStatus) -> str:
    """What is told of a dataset without a record; empty for one that has any."""
    if any(sums.records for sums in export.outcome.values()):
        return ""
    reasons = {reason for sums in export.outcome.values() for reason in sums.dropped}
    why = "; ".join(said for reason, said in _NOTHING.items() if reason in reasons)
    return "there is not one record to load" + (f": {why}" if why else "; the sums say why")


def _example(folder: Path) -> Iterator[str]:
    for shard in sorted(folder.glob("*.parquet")):
        if record := _first(shard):
            yield f"one record of {folder.name}:"
            yield from _record(record)
            return


def _first(shard: Path) -> dict[str, Any] | None:
    from pyarrow import parquet

    file = cast("Any", parquet).ParquetFile(shard)
    for batch in file.iter_batches(batch_size=1):
        return batch.to_pylist()[0]
    return None


def _record(record: dict[str, Any]) -> list[str]:
    rows = [[f"{key}:", shorten(text_of(record[key]))] for key in _keys(record)]
    rated = [k for k in ("chosen_rating", "rejected_rating") if record.get(k) is not None]
    rows += [[f"{key}:", f"{record[key]:g}"] for key in rated]
    return [f"  {line}" for line in table(rows[0], rows[1:], 2)] if rows else []


def _keys(record: dict[str, Any]) -> list[str]:
    trained = ("prompt", "chosen", "rejected", "completion", "label")
    told = ("instruction", "generations", "messages", "ratings")
    return [k for k in trained if k in record] or [k for k in told if k in record]


def text_of(value: Any) -> str:
    """A value as one line: of messages, the last one's text."""
    match value:
        case [*_, {"content": str(content)}]:
            return content
        case _:
            return str(value)


def shorten(text: str) -> str:
    """One line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"

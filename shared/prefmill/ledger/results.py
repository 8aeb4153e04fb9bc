"""Writing results: many replies in one transaction, delivered twice, stored once.

Arrays go through `unnest`: one statement a table, whatever the number of cells. Writes are sorted
by key, so that two sinks cannot wait for each other for long.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.chat import Usage
from prefmill.contracts.reasons import UNREADABLE
from prefmill.contracts.results import (
    BatchGenerated,
    BatchJudged,
    Completed,
    GeneratedCell,
    JudgedCell,
    Reading,
    Reply,
)
from prefmill.ledger import statements
from prefmill.ledger.arrays import Columns, columns, hashes, numbers
from prefmill.ledger.finished import READINGS
from prefmill.ledger.runs import NOTICE

Key = tuple[int, int]
"""Run and slot."""

Numbered = tuple[Key, Any]
"""A cell with the run and slot it belongs to."""


async def store_replies(connection: AsyncConnection, replies: Sequence[Reply]) -> None:
    """Store all cells of the replies, close the batches whose last part is among them, and
    count. One transaction; the caller acknowledges after its commit."""
    counts = Counts()
    generated: list[Numbered] = []
    judged: list[Numbered] = []
    for reply in replies:
        key = (reply.run, reply.slot)
        if isinstance(reply, BatchGenerated):
            generated.extend((key, cell) for cell in reply.cells)
        elif isinstance(reply, BatchJudged):
            judged.extend((key, cell) for cell in reply.cells)
    await _store_generated(connection, sorted(generated, key=_answer_order), counts)
    await _store_judged(connection, sorted(judged, key=_verdict_order), counts)
    await store_tally(connection, counts)
    await _pause_lanes(connection, replies)
    await close_batches(connection, [reply.batch for reply in replies if reply.final])
    touched = [str(run_id) for run_id in sorted({reply.run for reply in replies})]
    await connection.execute(statements.NOTIFY, {"channel": NOTICE, "runs": touched})


async def close_batches(connection: AsyncConnection, batches: Iterable[str]) -> None:
    """Close batches: the planner looks at their rows again."""
    ids = sorted({int(batch) for batch in batches if batch.isdecimal()})
    if ids:
        await connection.execute(statements.CLOSE, {"ids": ids})


def _answer_order(numbered: Numbered) -> tuple[Any, ...]:
    (run, slot), cell = numbered
    return (run, cell.row, slot, cell.sample)


def _verdict_order(numbered: Numbered) -> tuple[Any, ...]:
    (run, slot), cell = numbered
    return (run, cell.row, slot, cell.aspect, cell.sample)


class Counts:
    """What one transaction adds to the tallies."""

    def __init__(self) -> None:
        self.by_key: defaultdict[Key, Counter[str]] = defaultdict(Counter)

    def add(self, key: Key, **counts: int) -> None:
        """Add to one slot's counts."""
        self.by_key[key].update(counts)

    def calls(self, rows: Iterable[Any], name: str) -> None:
        """Add counts and tokens of stored calls: (run, slot, count, input, output)."""
        for run, slot, count, tokens_in, tokens_out in rows:
            counts = {name: count, "input_tokens": int(tokens_in), "output_tokens": int(tokens_out)}
            self.add((run, slot), **counts)


def _calls(cells: Sequence[Completed]) -> Columns:
    usages = [cell.usage for cell in cells]
    return {
        "model": [cell.model for cell in cells],
        "input_tokens": numbers([usage.input_tokens for usage in usages]),
        "output_tokens": numbers([usage.output_tokens for usage in usages]),
        "latency": numbers([cell.latency_ms for cell in cells]),
        "attempt": numbers([cell.attempt for cell in cells]),
    }


async def _store_generated(
    connection: AsyncConnection, cells: Sequence[Numbered], counts: Counts
) -> None:
    answers = [(key, cell) for key, cell in cells if cell.text is not None and not cell.failure]
    if answers:
        stored = await connection.execute(statements.ANSWERS, _answer_columns(answers))
        counts.calls(stored, "done")
    await _store_attempts(connection, [n for n in cells if n[1].failure], counts)


def _answer_columns(answers: Sequence[tuple[Key, GeneratedCell]]) -> Columns:
    keys, cells = zip(*answers, strict=True)
    texts = [cell.text or "" for cell in cells]
    return {
        "run": numbers([run for run, _ in keys]),
        "slot": numbers([slot for _, slot in keys]),
        "position": numbers([cell.row for cell in cells]),
        "sample": numbers([cell.sample for cell in cells]),
        "digest": hashes([bytes.fromhex(cell.digest) for cell in cells]),
        "text_sha": hashes([hashlib.sha256(text.encode()).digest() for text in texts]),
        "text": texts,
        "finish_reason": [cell.finish_reason for cell in cells],
        **_calls(cells),
    }


async def _store_judged(
    connection: AsyncConnection, cells: Sequence[Numbered], counts: Counts
) -> None:
    verdicts = [(key, cell) for key, cell in cells if not cell.failure]
    if verdicts:
        stored = await connection.execute(statements.VERDICTS, _verdict_columns(verdicts))
        counts.calls(stored, "done")
    await _store_attempts(connection, [n for n in cells if n[1].failure], counts)


CELL: tuple[str, ...] = ("run", "slot", "position", "aspect", "sample", "target")


def _cell_key(key: Key, cell: Completed) -> tuple[Any, ...]:
    aspect, target = getattr(cell, "aspect", ""), getattr(cell, "target", "")
    return (*key, cell.row, aspect, cell.sample, bytes.fromhex(target))


def _verdict_columns(verdicts: Sequence[tuple[Key, JudgedCell]]) -> Columns:
    keys, cells = zip(*verdicts, strict=True)
    return {
        "run": numbers([run for run, _ in keys]),
        "slot": numbers([slot for _, slot in keys]),
        "position": numbers([cell.row for cell in cells]),
        "aspect": [cell.aspect for cell in cells],
        "sample": numbers([cell.sample for cell in cells]),
        "target": hashes([bytes.fromhex(cell.target) for cell in cells]),
        "digest": hashes([bytes.fromhex(cell.digest) for cell in cells]),
        "shown": [_places(cell.order) for cell in cells],
        "readings": [_json(cell.readings) for cell in cells],
        "raw": [cell.raw for cell in cells],
        **_calls(cells),
    }


async def _store_attempts(
    connection: AsyncConnection, cells: Sequence[Numbered], counts: Counts
) -> None:
    if not cells:
        return
    stored = await connection.execute(statements.ATTEMPTS, _attempt_columns(cells))
    counts.calls(stored, "attempts")
    last = [(key, cell) for key, cell in cells if cell.last]
    partial = await _store_best(connection, last, counts)
    failed = [
        (*_cell_key(key, cell), cell.failure.reason, cell.failure.detail)
        for key, cell in last
        if _cell_key(key, cell) not in partial
    ]
    if failed:
        values = columns((*CELL, "reason", "detail"), failed)
        for run, slot, count in await connection.execute(statements.FAILURES, values):
            counts.add((run, slot), failed=count)


def _attempt_columns(numbered: Sequence[Numbered]) -> Columns:
    cells = [cell for _, cell in numbered]
    return {
        **columns(CELL, [_cell_key(key, cell) for key, cell in numbered]),
        "reason": [cell.failure.reason for cell in cells],
        "detail": [cell.failure.detail for cell in cells],
        "raw": [getattr(cell, "raw", "") or getattr(cell, "text", "") or "" for cell in cells],
        "readings": [_readings(cell) for cell in cells],
        "shown": [_places(getattr(cell, "order", ())) or None for cell in cells],
        **_calls(cells),
    }


@lru_cache(1024)
def _places(order: tuple[int, ...]) -> str:
    """The order among the texts shown, whichever of the row's generations these were: so a
    verdict on a pair also holds in a run where the pair has other neighbours."""
    places = {generation: place for place, generation in enumerate(sorted(order))}
    return ",".join([str(places[generation]) for generation in order])


def _json(readings: tuple[Reading, ...]) -> str:
    return msgspec.json.encode(readings).decode()


def _readings(cell: Completed) -> str | None:
    readings = getattr(cell, "readings", ())
    return _json(readings) if readings else None


async def _store_best(
    connection: AsyncConnection, last: Sequence[Numbered], counts: Counts
) -> set[tuple[Any, ...]]:
    """Close verdict cells whose attempts are used up with the best reading there was, if any
    text could be read at all."""
    closed: set[tuple[Any, ...]] = set()
    for key, cell in last:
        if not isinstance(cell, JudgedCell) or not cell.failure:
            continue
        if cell.failure.reason == UNREADABLE and (best := await _best(connection, key, cell)):
            closed.add(_cell_key(key, cell))
            free = best.replace(usage=Usage())
            stored = await connection.execute(statements.VERDICTS, _verdict_columns([(key, free)]))
            counts.calls(stored, "done")
    return closed


async def _best(connection: AsyncConnection, key: Key, cell: JudgedCell) -> JudgedCell | None:
    where = dict(zip(CELL, _cell_key(key, cell), strict=True))
    attempts = [
        cell.replace(
            attempt=number,
            readings=READINGS.decode(readings),
            order=tuple(shown),
            raw=raw,
            model=model,
        )
        for number, readings, shown, raw, model in await connection.execute(
            statements.BEST_ATTEMPT, where
        )
    ]
    best = max(attempts, key=_readable, default=None)
    return best if best and _readable(best) else None


def _readable(cell: JudgedCell) -> int:
    return sum(reading.status in {"rated", "not-applicable"} for reading in cell.readings)


async def store_tally(connection: AsyncConnection, counts: Counts) -> None:
    """Add the counts to the tallies of their slots."""
    names = ("done", "failed", "attempts", "input_tokens", "output_tokens")
    rows = [(*key, *(c[name] for name in names)) for key, c in sorted(counts.by_key.items())]
    if rows:
        await connection.execute(statements.TALLY, columns(("run", "slot", *names), rows))


async def _pause_lanes(connection: AsyncConnection, replies: Sequence[Reply]) -> None:
    for reply in replies:
        if reply.problem:
            values = {"slot": reply.slot, "detail": reply.problem.detail}
            await connection.execute(statements.PAUSE, values)

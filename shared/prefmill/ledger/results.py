"""Writing results: many replies in one transaction, delivered twice, stored once.

Arrays go through `unnest`: one statement a table, whatever the number of cells. Writes are sorted
by key, so that two sinks cannot wait for each other for long.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json
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
from prefmill.ledger.runs import NOTICE

Key = tuple[int, int]
"""Run and slot."""

Numbered = tuple[Key, Any]
"""A cell with the run and slot it belongs to."""

_READINGS = TypeAdapter(tuple[Reading, ...])


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


Columns = dict[str, list[Any] | str]
"""By parameter: a list of texts, or an array literal."""


def columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Rows, at least one, turned into one array a column, as the statements take them."""
    return {
        name: _array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def _array(column: tuple[Any, ...]) -> list[Any] | str:
    """Numbers and bytes as an array literal, texts as a list."""
    if isinstance(column[0], int):
        return "{" + ",".join(map(str, column)) + "}"
    if isinstance(column[0], bytes):
        return "{" + ",".join([r"\\x" + value.hex() for value in column]) + "}"
    return list(column)


_CALL: tuple[str, ...] = ("model", "input_tokens", "output_tokens", "latency", "attempt")


def _call(cell: Completed) -> tuple[Any, ...]:
    usage = cell.usage
    return (
        cell.model,
        usage.input_tokens,
        usage.output_tokens,
        cell.latency_ms,
        cell.attempt,
    )


async def _store_generated(
    connection: AsyncConnection, cells: Sequence[Numbered], counts: Counts
) -> None:
    answers = [(key, cell) for key, cell in cells if cell.text is not None and not cell.failure]
    if answers:
        stored = await connection.execute(statements.ANSWERS, _answer_columns(answers))
        counts.calls(stored, "done")
    await _store_attempts(connection, [n for n in cells if n[1].failure], counts)


def _answer_columns(answers: Sequence[tuple[Key, GeneratedCell]]) -> Columns:
    names = ("run", "slot", "position", "sample", "digest", "text_sha", "text", "finish_reason")
    return columns(
        (*names, *_CALL),
        [
            (
                *key,
                cell.row,
                cell.sample,
                bytes.fromhex(cell.digest),
                hashlib.sha256((cell.text or "").encode()).digest(),
                cell.text,
                cell.finish_reason,
                *_call(cell),
            )
            for key, cell in answers
        ],
    )


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
    return columns(
        (*CELL, "digest", "shown", "readings", "raw", *_CALL),
        [
            (
                *_cell_key(key, cell),
                bytes.fromhex(cell.digest),
                _places(cell.order),
                to_json(cell.readings, exclude_none=True).decode(),
                cell.raw,
                *_call(cell),
            )
            for key, cell in verdicts
        ],
    )


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


def _attempt_columns(cells: Sequence[Numbered]) -> Columns:
    return columns(
        (*CELL, "reason", "detail", "raw", "readings", "shown", *_CALL),
        [
            (
                *_cell_key(key, cell),
                cell.failure.reason,
                cell.failure.detail,
                getattr(cell, "raw", "") or getattr(cell, "text", "") or "",
                _readings(cell),
                _places(getattr(cell, "order", ())) or None,
                *_call(cell),
            )
            for key, cell in cells
        ],
    )


def _places(order: Sequence[int]) -> str:
    """The order among the texts shown, whichever of the row's generations these were: so a
    verdict on a pair also holds in a run where the pair has other neighbours."""
    places = {generation: place for place, generation in enumerate(sorted(order))}
    return ",".join([str(places[generation]) for generation in order])


def _readings(cell: Completed) -> str | None:
    readings = getattr(cell, "readings", ())
    return to_json(readings, exclude_none=True).decode() if readings else None


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
            free = best.model_copy(update={"usage": Usage()})
            stored = await connection.execute(statements.VERDICTS, _verdict_columns([(key, free)]))
            counts.calls(stored, "done")
    return closed


async def _best(connection: AsyncConnection, key: Key, cell: JudgedCell) -> JudgedCell | None:
    where = dict(zip(CELL, _cell_key(key, cell), strict=True))
    attempts = [
        cell.model_copy(
            update={
                "attempt": number,
                "readings": _READINGS.validate_json(readings),
                "order": tuple(shown),
                "raw": raw,
                "model": model,
            }
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

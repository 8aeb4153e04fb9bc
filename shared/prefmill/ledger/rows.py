"""Rows as loaded: prompts with the models drawn for them."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import sqlalchemy as sa
from pydantic_core import from_json
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.chat import Turn
from prefmill.contracts.reasons import LEFT_OUT_BY
from prefmill.contracts.rows import Prompt
from prefmill.ledger.arrays import array_rows, driver_rows, hashes, numbers
from prefmill.ledger.runs import BLANK, LEFT_OUT, notify
from prefmill.ledger.tables import PROMPT, RUN


@dataclass(frozen=True, slots=True)
class LoadedRow:
    """A prompt at its position. `content` is the SHA-256 of its conversation and reference;
    `models` are the aliases drawn for it, or who wrote the responses that came with it."""

    position: int
    prompt: Prompt
    content: bytes
    models: tuple[str, ...]


_INSERT = sa.text("""
    INSERT INTO prompt (run_id, position, row_id, body, content, models, given, failure)
    SELECT :run_id, p, r, b::json, c, string_to_array(m, E'\\x1f'), g, f
    FROM unnest(:positions ::text::bigint[], :row_ids ::text[], :bodies ::text[],
                :contents ::text::bytea[], :models ::text[], :given ::text::boolean[],
                :failures ::text[])
         AS _(p, r, b, c, m, g, f)
""")


_DRAWN = sa.text("SELECT drawn FROM run WHERE id = :run FOR UPDATE")

_FLAG = sa.text("""
    INSERT INTO batch (run_id, slot_id, lane, rows, state)
    SELECT :run, 0, '', CAST(:rows AS bigint[]), 2 WHERE cardinality(CAST(:rows AS bigint[])) > 0
""")

_GIVEN = sa.text("""
    INSERT INTO answer (run_id, position, slot_id, sample, digest, text_sha, text, finish_reason,
                        model, input_tokens, output_tokens, latency_ms, attempt, reused)
    SELECT :run, p, s, 0, h, h, t, '', '', 0, 0, 0, 0, false
    FROM unnest(:positions ::bigint[], :slots ::int[], :texts ::text[], :shas ::bytea[])
         AS _(p, s, t, h)
    ON CONFLICT DO NOTHING
""")

_COUNT_GIVEN = sa.text("""
    INSERT INTO tally AS t (run_id, slot_id, done) VALUES (:run, :slot, :count)
    ON CONFLICT (run_id, slot_id) DO UPDATE SET done = t.done + excluded.done
""")


async def insert_rows(connection: AsyncConnection, run_id: int, rows: Sequence[LoadedRow]) -> None:
    """Store rows just loaded, count them, and flag them for the planner."""
    await connection.execute(
        _INSERT,
        {
            "run_id": run_id,
            "positions": numbers([row.position for row in rows]),
            "row_ids": [row.prompt.id for row in rows],
            "bodies": [row.prompt.json().decode() for row in rows],
            "contents": hashes([row.content for row in rows]),
            "models": ["\x1f".join(row.models) for row in rows],
            "given": numbers([bool(row.prompt.responses) for row in rows]),
            "failures": [row.prompt.failure and row.prompt.failure.reason for row in rows],
        },
    )
    failed = sum(row.prompt.failure is not None for row in rows)
    drawn: Counter[str] = Counter(await connection.scalar(_DRAWN, {"run": run_id}))
    drawn.update(chain.from_iterable([row.models for row in rows if not _excused(row)]))
    drawn.update(name for row in rows if row.prompt.failure for name in _left_out(row))
    drawn.update(name for row in rows if not row.prompt.failure for name in _blank(row))
    await connection.execute(
        RUN.update()
        .where(RUN.c.id == run_id)
        .values(rows=RUN.c.rows + len(rows), rows_failed=RUN.c.rows_failed + failed, drawn=drawn)
    )
    await connection.execute(
        _FLAG, {"run": run_id, "rows": [row.position for row in rows if not row.prompt.failure]}
    )
    await notify(connection, run_id)


def _excused(row: LoadedRow) -> bool:
    return row.prompt.failure is not None or bool(row.prompt.responses)


def _left_out(row: LoadedRow) -> Iterator[str]:
    """The reason, where a transform has left the row out: counted beside the draws."""
    if row.prompt.failure and row.prompt.failure.reason.startswith(LEFT_OUT_BY):
        yield f"{LEFT_OUT}{row.prompt.failure.reason}"


def _blank(row: LoadedRow) -> Iterator[str]:
    """Who wrote the responses that hold no text."""
    return (f"{BLANK}{given.model}" for given in row.prompt.responses if not given.text)


async def insert_given(
    connection: AsyncConnection, run_id: int, answers: Sequence[tuple[int, int, str]]
) -> None:
    """Store responses that came with the data: (position, slot, text)."""
    shas = [hashlib.sha256(text.encode()).digest() for _, _, text in answers]
    await connection.execute(
        _GIVEN,
        {
            "run": run_id,
            "positions": [position for position, _, _ in answers],
            "slots": [slot for _, slot, _ in answers],
            "texts": [text for _, _, text in answers],
            "shas": shas,
        },
    )
    for slot, count in sorted(Counter(slot for _, slot, _ in answers).items()):
        await connection.execute(_COUNT_GIVEN, {"run": run_id, "slot": slot, "count": count})


async def known_ids(connection: AsyncConnection, run_id: int, ids: Sequence[str]) -> frozenset[str]:
    """Those of the ids that rows of the run have already."""
    found = await connection.execute(
        sa.text("SELECT row_id FROM prompt WHERE run_id = :run AND row_id = ANY(:ids)"),
        {"run": run_id, "ids": list(ids)},
    )
    return frozenset(found.scalars())


async def contents(connection: AsyncConnection, run_id: int, start: int, count: int) -> list[bytes]:
    """Content digests of stored rows from position `start` on, in order."""
    found = await connection.execute(
        sa.select(PROMPT.c.content)
        .where(PROMPT.c.run_id == run_id, PROMPT.c.position >= start)
        .where(PROMPT.c.position < start + count)
        .order_by(PROMPT.c.position)
    )
    return list(found.scalars())


class Asked(NamedTuple):
    """What of a prompt goes to models and judges, as JSON holds it: hundreds of thousands are
    read, of what was checked when it was written."""

    messages: Sequence[Turn]
    reference: object | None


_ASKED = sa.text("""
    SELECT array_agg(position), array_agg(body::text)
    FROM prompt WHERE run_id = :run AND position = ANY(:positions)
""")


async def asked(
    connection: AsyncConnection, run_id: int, positions: Sequence[int]
) -> dict[int, Asked]:
    """What the prompts at these positions ask."""
    found = await array_rows(connection, _ASKED, {"run": run_id, "positions": list(positions)})
    bodies = ((position, from_json(body)) for position, body in found)
    return {row: Asked(body.get("messages", ()), body.get("reference")) for row, body in bodies}


_TEXTS = sa.text("""
    SELECT position, slot_id, sample, text FROM answer
    WHERE run_id = :run AND position = ANY(:rows)
""")


async def texts(
    connection: AsyncConnection, run_id: int, positions: Sequence[int]
) -> dict[int, dict[tuple[int, int], str]]:
    """Answers of these rows: position → (slot, sample) → text."""
    found = await driver_rows(connection, _TEXTS, {"run": run_id, "rows": list(positions)})
    found_by_row: defaultdict[int, dict[tuple[int, int], str]] = defaultdict(dict)
    for position, slot, sample, text in found:
        found_by_row[position][slot, sample] = text
    return found_by_row

"""Equal digest, same answer: what other runs and older revisions have paid for is copied."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.ledger.row_states import CellKey

Wanted = tuple[int, CellKey, bytes]
"""Position, cell, request digest."""

_COPY_ANSWERS = sa.text("""
    INSERT INTO answer (run_id, position, slot_id, sample, digest, text_sha, text, finish_reason,
                        model, input_tokens, output_tokens, latency_ms, attempt, reused)
    SELECT :run, w.position, w.slot_id, w.sample, w.digest, a.text_sha, a.text, a.finish_reason,
           a.model, a.input_tokens, a.output_tokens, a.latency_ms, a.attempt, true
    FROM unnest(:positions ::bigint[], :slots ::int[], :samples ::smallint[], :digests ::bytea[])
         AS w(position, slot_id, sample, digest)
    CROSS JOIN LATERAL (SELECT * FROM answer WHERE answer.digest = w.digest LIMIT 1) AS a
    ON CONFLICT DO NOTHING RETURNING position, slot_id, sample, text_sha
""")

_COPY_VERDICTS = sa.text("""
    INSERT INTO verdict (run_id, position, slot_id, aspect, sample, target, digest, shown, readings,
                         raw, model, input_tokens, output_tokens, latency_ms, attempt, reused)
    SELECT :run, w.position, w.slot_id, w.aspect, w.sample, w.target, w.digest, v.shown, v.readings,
           v.raw, v.model, v.input_tokens, v.output_tokens, v.latency_ms, v.attempt, true
    FROM unnest(:positions ::bigint[], :slots ::int[], :aspects ::text[], :samples ::smallint[],
                :targets ::bytea[], :digests ::bytea[])
         AS w(position, slot_id, aspect, sample, target, digest)
    CROSS JOIN LATERAL (SELECT * FROM verdict WHERE verdict.digest = w.digest LIMIT 1) AS v
    ON CONFLICT DO NOTHING RETURNING position, slot_id, aspect, sample, target
""")

_COUNT = sa.text("""
    INSERT INTO tally AS t (run_id, slot_id, done, reused) VALUES (:run, :slot, :count, :count)
    ON CONFLICT (run_id, slot_id) DO UPDATE SET
      done = t.done + excluded.done, reused = t.reused + excluded.reused
""")


async def copy_answers(
    connection: AsyncConnection, run_id: int, wanted: Sequence[Wanted]
) -> list[tuple[int, int, int, bytes]]:
    """Fill answer cells from stored ones: (position, slot, sample, text SHA) of those filled."""
    values = _columns(run_id, wanted)
    found = [tuple(row) for row in await connection.execute(_COPY_ANSWERS, values)]
    await _count(connection, run_id, [slot for _, slot, _, _ in found])
    return found


async def copy_verdicts(
    connection: AsyncConnection, run_id: int, wanted: Sequence[Wanted]
) -> list[tuple[int, CellKey]]:
    """Fill verdict cells from stored ones: (position, cell) of those filled."""
    values = _columns(run_id, wanted)
    values["aspects"] = [key.aspect for _, key, _ in wanted]
    values["targets"] = [key.target for _, key, _ in wanted]
    rows = await connection.execute(_COPY_VERDICTS, values)
    found = [(position, CellKey(*key)) for position, *key in rows]
    await _count(connection, run_id, [key.slot_id for _, key in found])
    return found


_ANSWERS_LIKE = sa.text("""
    SELECT w.digest, a.text_sha FROM unnest(:digests ::bytea[]) AS w(digest)
    CROSS JOIN LATERAL (SELECT text_sha FROM answer WHERE answer.digest = w.digest LIMIT 1) AS a
""")

_VERDICTS_LIKE = sa.text("""
    SELECT w.digest FROM unnest(:digests ::bytea[]) AS w(digest)
    CROSS JOIN LATERAL (SELECT FROM verdict WHERE verdict.digest = w.digest LIMIT 1) AS v
""")


async def answers_like(connection: AsyncConnection, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """Those of the digests that an answer is stored for → SHA-256 of its text."""
    found = await connection.execute(_ANSWERS_LIKE, {"digests": list(digests)})
    return {row.digest: row.text_sha for row in found}


async def verdicts_like(connection: AsyncConnection, digests: Sequence[bytes]) -> set[bytes]:
    """Those of the digests that a verdict is stored for."""
    found = await connection.execute(_VERDICTS_LIKE, {"digests": list(digests)})
    return set(found.scalars())


async def anything_to_copy(connection: AsyncConnection, run_id: int) -> bool:
    """Whether the ledger holds slots besides those a first revision has just made."""
    found = await connection.execute(
        sa.text("""
            SELECT EXISTS (SELECT FROM slot WHERE run_id <> :run)
                OR EXISTS (SELECT FROM revision WHERE run_id = :run AND number > 1)
        """),
        {"run": run_id},
    )
    return bool(found.scalar_one())


def _columns(run_id: int, wanted: Sequence[Wanted]) -> dict[str, Any]:
    return {
        "run": run_id,
        "positions": [position for position, _, _ in wanted],
        "slots": [key.slot_id for _, key, _ in wanted],
        "samples": [key.sample for _, key, _ in wanted],
        "digests": [digest for _, _, digest in wanted],
    }


async def _count(connection: AsyncConnection, run_id: int, slots: Sequence[int]) -> None:
    counts: defaultdict[int, int] = defaultdict(int)
    for slot in slots:
        counts[slot] += 1
    for slot, count in sorted(counts.items()):
        await connection.execute(_COUNT, {"run": run_id, "slot": slot, "count": count})

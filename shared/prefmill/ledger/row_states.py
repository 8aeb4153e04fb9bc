"""What is stored for rows: keys of answers, verdicts, failures and attempts, no texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


class CellKey(NamedTuple):
    """A cell of one row. `aspect` and `target` are empty for answers."""

    slot_id: int
    aspect: str
    sample: int
    target: bytes


@dataclass(slots=True)
class RowState:
    """What is stored for one row: keys only, no texts."""

    position: int
    content: bytes
    models: tuple[str, ...]
    given: bool
    source: str | None = None
    """The row's column `source`, where it was asked for."""
    answers: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """(slot, sample) → SHA-256 of the text."""
    verdicts: set[CellKey] = field(default_factory=set)
    failures: set[CellKey] = field(default_factory=set)
    attempts: dict[CellKey, tuple[int, int]] = field(default_factory=dict)
    """Attempts ever made, and those that count."""


async def row_states(
    connection: AsyncConnection, run_id: int, positions: Sequence[int], *, sources: bool = False
) -> list[RowState]:
    """The stored keys of these rows, with their `sources` if asked; rows that cannot be used are
    left out."""
    where = {"run": run_id, "rows": list(positions)}
    prompts = await connection.execute(_PROMPTS, where | {"sources": sources})
    rows = {
        position: RowState(position, content, tuple(models), given, source)
        for position, content, models, given, source in prompts
    }
    found = await connection.execute(_CLOSED, where)
    for position, slot, aspect, sample, value, kind, made, counted in found:
        row = rows.get(position)
        if row is None:
            continue
        if kind == "answer":
            row.answers[slot, sample] = value
        else:
            _note(row, CellKey(slot, aspect, sample, value), kind, made, counted)
    return [rows[position] for position in sorted(rows)]


def _note(row: RowState, key: CellKey, kind: str, made: int, counted: int) -> None:
    if kind == "verdict":
        row.verdicts.add(key)
    elif kind == "failure":
        row.failures.add(key)
    else:
        row.attempts[key] = (made, counted)


_PROMPTS = sa.text("""
    SELECT position, content, models, given,
           CASE WHEN :sources AND json_typeof(body #> '{metadata,source}') = 'string'
                THEN body #>> '{metadata,source}' END
    FROM prompt
    WHERE run_id = :run AND position = ANY(:rows) AND failure IS NULL
""")
_CLOSED = sa.text("""
    SELECT position, slot_id, '', sample, text_sha, 'answer', 0, 0 FROM answer
    WHERE run_id = :run AND position = ANY(:rows)
    UNION ALL
    SELECT position, slot_id, aspect, sample, target, 'verdict', 0, 0 FROM verdict
    WHERE run_id = :run AND position = ANY(:rows)
    UNION ALL
    SELECT position, slot_id, aspect, sample, target, 'failure', 0, 0 FROM failure
    WHERE run_id = :run AND position = ANY(:rows)
    UNION ALL
    SELECT position, slot_id, aspect, sample, target, 'attempt',
           max(attempt) + 1, count(*) FILTER (WHERE NOT forgiven) FROM attempt
    WHERE run_id = :run AND position = ANY(:rows) GROUP BY 1, 2, 3, 4, 5
""")

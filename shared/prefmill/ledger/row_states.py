"""What is stored for rows: keys of answers, verdicts, failures and attempts, no texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.ledger.arrays import array_rows, unnested


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
    rows = {
        position: RowState(position, content, _names(models), given, source)
        for position, content, models, given, source in await array_rows(
            connection, _PROMPTS, where | {"sources": sources}
        )
    }
    for position, slot, sample, sha in await array_rows(connection, _ANSWERS, where):
        if row := rows.get(position):
            row.answers[slot, sample] = sha
    for kind, *found in await connection.execute(_CLOSED, where):
        for position, made, counted, *key in unnested(found):
            if row := rows.get(position):
                _note(row, CellKey(*key), kind, made, counted)
    return [rows[position] for position in sorted(rows)]


@lru_cache(4096)
def _names(joined: str) -> tuple[str, ...]:
    return tuple(joined.split("\x1f")) if joined else ()


def _note(row: RowState, key: CellKey, kind: str, made: int, counted: int) -> None:
    if kind == "verdict":
        row.verdicts.add(key)
    elif kind == "failure":
        row.failures.add(key)
    else:
        row.attempts[key] = (made, counted)


async def judged_cells(
    connection: AsyncConnection, run_id: int, positions: Sequence[int], slots: Sequence[int]
) -> set[tuple[int, CellKey]]:
    """Which verdicts of these slots are stored for these rows: (row, cell)."""
    where = {"run": run_id, "rows": list(positions), "slots": list(slots)}
    found = await array_rows(connection, _JUDGED, where)
    return {(position, CellKey(*key)) for position, *key in found}


_ROWS = "run_id = :run AND position = ANY(:rows)"
"""As a list: an array literal is no constant to the planner, which then keeps the plan that it made
while the tables were empty, and reads them whole."""

_PROMPTS = sa.text(f"""
    SELECT array_agg(position), array_agg(content),
           array_agg(array_to_string(models, E'\\x1f')), array_agg(given),
           array_agg(CASE WHEN :sources AND json_typeof(body #> '{{metadata,source}}') = 'string'
                     THEN body #>> '{{metadata,source}}' END)
    FROM prompt
    WHERE {_ROWS} AND failure IS NULL
""")
_ANSWERS = sa.text(f"""
    SELECT array_agg(position), array_agg(slot_id), array_agg(sample), array_agg(text_sha)
    FROM answer WHERE {_ROWS}
""")
_CLOSED = sa.text(f"""
    SELECT 'verdict', array_agg(position), array_agg(0), array_agg(0), array_agg(slot_id),
           array_agg(aspect), array_agg(sample), array_agg(target)
    FROM verdict WHERE {_ROWS}
    UNION ALL
    SELECT 'failure', array_agg(position), array_agg(0), array_agg(0), array_agg(slot_id),
           array_agg(aspect), array_agg(sample), array_agg(target)
    FROM failure WHERE {_ROWS}
    UNION ALL
    SELECT 'attempt', array_agg(position), array_agg(made), array_agg(counted),
           array_agg(slot_id), array_agg(aspect), array_agg(sample), array_agg(target)
    FROM (SELECT position, slot_id, aspect, sample, target, max(attempt) + 1 AS made,
                 count(*) FILTER (WHERE NOT forgiven) AS counted
          FROM attempt WHERE {_ROWS} GROUP BY 1, 2, 3, 4, 5) AS _
""")
_JUDGED = sa.text(f"""
    SELECT array_agg(position), array_agg(slot_id), array_agg(aspect), array_agg(sample),
           array_agg(target)
    FROM verdict WHERE {_ROWS} AND slot_id = ANY(:slots)
""")

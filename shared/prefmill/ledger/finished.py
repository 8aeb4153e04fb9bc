"""Rows with all that is stored for them, as pools and formats take them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from prefmill.contracts.chat import Failure
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import Prompt
from prefmill.ledger.lost import LOST_CELLS

READINGS: Final = msgspec.json.Decoder(tuple[Reading, ...])


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer, with the model id that gave it."""

    text: str
    model: str
    text_sha: bytes


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A verdict; readings in the row's order of the generations shown, `order` counts those."""

    model: str
    order: tuple[int, ...]
    readings: tuple[Reading, ...]
    raw: str


@dataclass(slots=True)
class StoredRow:
    """Everything stored for one row."""

    position: int
    prompt: Prompt
    content: bytes
    models: tuple[str, ...]
    given: bool
    answers: dict[tuple[int, int], StoredAnswer] = field(default_factory=dict)
    verdicts: dict[tuple[int, str, int, bytes], StoredVerdict] = field(default_factory=dict)
    """(slot, aspect, sample, target) → verdict."""
    failures: dict[tuple[int, str, int, bytes], Failure] = field(default_factory=dict)


_PROMPTS = sa.text("""
    SELECT position, body::text, content, models, given FROM prompt
    WHERE run_id = :run AND position = ANY(:rows)
""")
_ANSWERS = sa.text("""
    SELECT position, slot_id, sample, text, model, text_sha FROM answer
    WHERE run_id = :run AND position = ANY(:rows)
""")
_VERDICTS = sa.text("""
    SELECT position, slot_id, aspect, sample, target, model, shown, readings::text, raw
    FROM verdict WHERE run_id = :run AND position = ANY(:rows)
""")
_FAILURES = sa.text(f"""
    SELECT position, slot_id, aspect, sample, target, reason, detail FROM {LOST_CELLS}
    WHERE run_id = :run AND position = ANY(:rows)
""")


async def stored_rows(
    connection: AsyncConnection, run_id: int, positions: Sequence[int]
) -> list[StoredRow]:
    """The rows at these positions, in order of position."""
    where: dict[str, Any] = {"run": run_id, "rows": list(positions)}
    rows: dict[int, StoredRow] = {}
    for position, body, content, models, given in await connection.execute(_PROMPTS, where):
        prompt = Prompt.read(body)
        rows[position] = StoredRow(position, prompt, content, tuple(models), given)
    for position, slot, sample, *answer in await connection.execute(_ANSWERS, where):
        rows[position].answers[slot, sample] = StoredAnswer(*answer)
    for position, *key, model, shown, readings, raw in await connection.execute(_VERDICTS, where):
        read = READINGS.decode(readings)
        slot, aspect, sample, target = key
        verdict = StoredVerdict(model, tuple(shown), read, raw)
        rows[position].verdicts[slot, aspect, sample, target] = verdict
    for position, *key, reason, detail in await connection.execute(_FAILURES, where):
        slot, aspect, sample, target = key
        failure = Failure(reason=reason, detail=detail)
        rows[position].failures[slot, aspect, sample, target] = failure
    return [rows[position] for position in sorted(rows)]

"""The tables. Texts stand in append-only ones; those that are updated often hold ids only.

A cell is keyed by (run, position, slot, sample) for answers, and by (…, aspect, target) as well
for verdicts. Nothing is stored for a cell before it closes: which cells are wanted is derived.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON

METADATA: Final = sa.MetaData()


def _table(name: str, *columns: Any, append_only: bool = True) -> sa.Table:
    options: dict[str, Any] = {} if append_only else {"postgresql_with": {"fillfactor": "70"}}
    return sa.Table(name, METADATA, *columns, **options)


def _now() -> Any:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now())


def _cell(*more: Any) -> tuple[Any, ...]:
    return (
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("slot_id", sa.Integer, nullable=False),
        *more,
        sa.Column("sample", sa.SmallInteger, nullable=False),
    )


def _verdict_cell() -> tuple[Any, ...]:
    return (
        *_cell(sa.Column("aspect", sa.Text, nullable=False)),
        sa.Column("target", sa.LargeBinary, nullable=False),
    )


def _call() -> tuple[Any, ...]:
    return (
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("input_tokens", sa.Integer, nullable=False),
        sa.Column("output_tokens", sa.Integer, nullable=False),
        sa.Column("latency_ms", sa.Integer, nullable=False),
        sa.Column("attempt", sa.SmallInteger, nullable=False),
    )


RUN: Final = _table(
    "run",
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
    sa.Column("fresh", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("directory", sa.Text),
    sa.Column("source_digest", sa.LargeBinary, nullable=False),
    sa.Column("source_fingerprint", sa.Text, nullable=False, server_default=""),
    sa.Column("source_done", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("rows_failed", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("drawn", JSON, nullable=False, server_default="{}"),
    _now(),
    sa.Index("run_name", "name", unique=True, postgresql_where=sa.text("NOT archived")),
    append_only=False,
)

REVISION: Final = _table(
    "revision",
    sa.Column("run_id", sa.BigInteger, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("recipe", JSON, nullable=False),
    sa.Column("desired", JSON, nullable=False),
    _now(),
)

LANE: Final = _table(
    "lane",
    sa.Column("slug", sa.Text, primary_key=True),
    sa.Column("spec", JSON, nullable=False),
    sa.Column("paused", sa.Text),
    _now(),
)

SLOT: Final = _table(
    "slot",
    sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("alias", sa.Text, nullable=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.UniqueConstraint("run_id", "kind", "key", name="slot_key"),
)

PROMPT: Final = _table(
    "prompt",
    sa.Column("run_id", sa.BigInteger, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("row_id", sa.Text, nullable=False),
    sa.Column("body", JSON, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("models", ARRAY(sa.Text), nullable=False),
    sa.Column("given", sa.Boolean, nullable=False),
    sa.Column("failure", sa.Text),
    sa.Index("prompt_row_id", "run_id", "row_id"),
)

ANSWER: Final = _table(
    "answer",
    *_cell(),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("text_sha", sa.LargeBinary, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("finish_reason", sa.Text, nullable=False),
    *_call(),
    sa.Column("reused", sa.Boolean, nullable=False),
    sa.PrimaryKeyConstraint("run_id", "position", "slot_id", "sample", name="answer_cell"),
    sa.Index("answer_digest", "digest", postgresql_using="hash"),
)

VERDICT: Final = _table(
    "verdict",
    *_verdict_cell(),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("shown", ARRAY(sa.SmallInteger), nullable=False),
    sa.Column("readings", JSON, nullable=False),
    sa.Column("raw", sa.Text, nullable=False),
    *_call(),
    sa.Column("reused", sa.Boolean, nullable=False),
    sa.PrimaryKeyConstraint(
        "run_id", "position", "slot_id", "aspect", "sample", "target", name="verdict_cell"
    ),
    sa.Index("verdict_digest", "digest", postgresql_using="hash"),
)

FAILURE: Final = _table(
    "failure",
    *_verdict_cell(),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint(
        "run_id", "position", "slot_id", "aspect", "sample", "target", name="failure_cell"
    ),
)

ATTEMPT: Final = _table(
    "attempt",
    *_verdict_cell(),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("raw", sa.Text, nullable=False),
    sa.Column("readings", JSON),
    sa.Column("shown", ARRAY(sa.SmallInteger)),
    *_call(),
    sa.Column("forgiven", sa.Boolean, nullable=False, server_default=sa.false()),
    _now(),
    sa.PrimaryKeyConstraint(
        "run_id",
        "position",
        "slot_id",
        "aspect",
        "sample",
        "target",
        "attempt",
        name="attempt_cell",
    ),
)

BATCH: Final = _table(
    "batch",
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    sa.Column("slot_id", sa.Integer, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("rows", ARRAY(sa.BigInteger), nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("died", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("epoch", sa.Text, nullable=False, server_default=""),
    sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index("batch_of_run", "run_id", "state", "lane", "id"),
    append_only=False,
)

TALLY: Final = _table(
    "tally",
    sa.Column("run_id", sa.BigInteger, primary_key=True),
    sa.Column("slot_id", sa.Integer, primary_key=True),
    *(
        sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        for name in (
            "done",
            "failed",
            "reused",
            "attempts",
            "input_tokens",
            "output_tokens",
        )
    ),
    append_only=False,
)

DEAD: Final = _table(
    "dead",
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("batch_id", sa.BigInteger),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    _now(),
)

EXPORT: Final = _table(
    "export",
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("spec", JSON, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("directory", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("outcome", JSON),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("claimed_at", sa.DateTime(timezone=True)),
    _now(),
    sa.Index("export_of_run", "run_id"),
    append_only=False,
)

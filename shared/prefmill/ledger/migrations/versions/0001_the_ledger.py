"""The ledger's first tables.

Revision ID: 0001
Revises: none

A frozen copy of the tables as they stood, so that later edits of `tables.py` need a revision.
"""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE answer (
    run_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    slot_id INTEGER NOT NULL,
    sample SMALLINT NOT NULL,
    digest BYTEA NOT NULL,
    text_sha BYTEA NOT NULL,
    text TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    attempt SMALLINT NOT NULL,
    reused BOOLEAN NOT NULL,
    CONSTRAINT answer_cell PRIMARY KEY (run_id, position, slot_id, sample)
);

CREATE INDEX answer_digest ON answer USING hash (digest);

CREATE TABLE attempt (
    run_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    slot_id INTEGER NOT NULL,
    aspect TEXT NOT NULL,
    sample SMALLINT NOT NULL,
    target BYTEA NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    raw TEXT NOT NULL,
    readings JSON,
    shown SMALLINT[],
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    attempt SMALLINT NOT NULL,
    forgiven BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    CONSTRAINT attempt_cell PRIMARY KEY (run_id, position, slot_id, aspect, sample, target, attempt)
);

CREATE TABLE batch (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    run_id BIGINT NOT NULL,
    slot_id INTEGER NOT NULL,
    lane TEXT NOT NULL,
    rows BIGINT[] NOT NULL,
    state SMALLINT NOT NULL,
    died BOOLEAN DEFAULT false NOT NULL,
    epoch TEXT DEFAULT '' NOT NULL,
    sequence BIGINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (id)
)
 WITH (fillfactor = 70);

CREATE INDEX batch_of_run ON batch (run_id, state, lane, id);

CREATE TABLE dead (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    batch_id BIGINT,
    subject TEXT NOT NULL,
    error TEXT NOT NULL,
    deliveries INTEGER NOT NULL,
    payload TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    PRIMARY KEY (id)
);

CREATE TABLE export (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    run_id BIGINT NOT NULL,
    revision INTEGER NOT NULL,
    spec JSON NOT NULL,
    state TEXT NOT NULL,
    directory TEXT NOT NULL,
    rows BIGINT DEFAULT '0' NOT NULL,
    outcome JSON,
    error TEXT DEFAULT '' NOT NULL,
    claimed_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    PRIMARY KEY (id)
)
 WITH (fillfactor = 70);

CREATE INDEX export_of_run ON export (run_id);

CREATE TABLE failure (
    run_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    slot_id INTEGER NOT NULL,
    aspect TEXT NOT NULL,
    sample SMALLINT NOT NULL,
    target BYTEA NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    CONSTRAINT failure_cell PRIMARY KEY (run_id, position, slot_id, aspect, sample, target)
);

CREATE TABLE lane (
    slug TEXT NOT NULL,
    spec JSON NOT NULL,
    paused TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    PRIMARY KEY (slug)
);

CREATE TABLE prompt (
    run_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    row_id TEXT NOT NULL,
    body JSON NOT NULL,
    content BYTEA NOT NULL,
    models TEXT[] NOT NULL,
    given BOOLEAN NOT NULL,
    failure TEXT,
    PRIMARY KEY (run_id, position)
);

CREATE INDEX prompt_row_id ON prompt (run_id, row_id);

CREATE TABLE revision (
    run_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    recipe JSON NOT NULL,
    desired JSON NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    PRIMARY KEY (run_id, number)
);

CREATE TABLE run (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    archived BOOLEAN DEFAULT false NOT NULL,
    state TEXT NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    revision INTEGER DEFAULT '1' NOT NULL,
    fresh BOOLEAN DEFAULT false NOT NULL,
    directory TEXT,
    source_digest BYTEA NOT NULL,
    source_fingerprint TEXT DEFAULT '' NOT NULL,
    source_done BOOLEAN DEFAULT false NOT NULL,
    rows BIGINT DEFAULT '0' NOT NULL,
    rows_failed BIGINT DEFAULT '0' NOT NULL,
    drawn JSON DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    PRIMARY KEY (id)
)
 WITH (fillfactor = 70);

CREATE UNIQUE INDEX run_name ON run (name) WHERE NOT archived;

CREATE TABLE slot (
    id INTEGER GENERATED ALWAYS AS IDENTITY,
    run_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    alias TEXT NOT NULL,
    key BYTEA NOT NULL,
    model TEXT NOT NULL,
    lane TEXT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT slot_key UNIQUE (run_id, kind, key)
);

CREATE TABLE tally (
    run_id BIGINT NOT NULL,
    slot_id INTEGER NOT NULL,
    done BIGINT DEFAULT '0' NOT NULL,
    failed BIGINT DEFAULT '0' NOT NULL,
    reused BIGINT DEFAULT '0' NOT NULL,
    attempts BIGINT DEFAULT '0' NOT NULL,
    input_tokens BIGINT DEFAULT '0' NOT NULL,
    output_tokens BIGINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (run_id, slot_id)
)
 WITH (fillfactor = 70);

CREATE TABLE verdict (
    run_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    slot_id INTEGER NOT NULL,
    aspect TEXT NOT NULL,
    sample SMALLINT NOT NULL,
    target BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    shown SMALLINT[] NOT NULL,
    readings JSON NOT NULL,
    raw TEXT NOT NULL,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    attempt SMALLINT NOT NULL,
    reused BOOLEAN NOT NULL,
    CONSTRAINT verdict_cell PRIMARY KEY (run_id, position, slot_id, aspect, sample, target)
);

CREATE INDEX verdict_digest ON verdict USING hash (digest);
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Drop them."""
    op.execute(
        "DROP TABLE "
        "verdict, tally, slot, run, revision, prompt, lane, "
        "failure, export, dead, batch, attempt, answer"
    )

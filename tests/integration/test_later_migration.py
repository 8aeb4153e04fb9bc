"""A later version with one migration more: forward and back, with a run in the ledger.

The later version is this one's `prefmill.ledger` with another migration, run as its setup job is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from prefmill.ledger.database import HEAD, Ledger, LedgerError, open_ledger

from .rig import Rig, answered, recipe

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NEXT = f"{int(HEAD) + 1:04}"
MIGRATION = f'''"""One column more, and an index."""

from alembic import op

revision = "{NEXT}"
down_revision = "{HEAD}"


def upgrade() -> None:
    op.execute("ALTER TABLE answer ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'")
    op.execute("CREATE INDEX answer_mood ON answer (mood)")


def downgrade() -> None:
    op.execute("ALTER TABLE answer DROP COLUMN mood")
'''


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("later")
    package = folder / "prefmill" / "ledger"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "shared" / "prefmill" / "ledger", package, ignore=ignored)
    (package / "migrations" / "versions" / f"{NEXT}_mood.py").write_text(MIGRATION)
    database = package / "database.py"
    known = f'HEAD: Final = "{HEAD}"'
    assert known in database.read_text()
    database.write_text(database.read_text().replace(known, f'HEAD: Final = "{NEXT}"'))
    return folder


def setup(database_url: str, *order: str, path: Path | None = None) -> str:
    """`python -m prefmill.ledger`, of this version or of the one in `path`."""
    env = os.environ | {"PREFMILL_DATABASE_URL": database_url, "PREFMILL_DATABASE_WAIT_S": "5"}
    done = subprocess.run(
        [sys.executable, "-m", "prefmill.ledger", *order],
        env=env | ({"PYTHONPATH": str(path)} if path else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


async def rows(ledger: Ledger) -> dict[str, list[str]]:
    """Everything in the ledger, table by table, as JSON of the columns that this version has."""
    async with ledger.begin() as connection:
        tables = (
            await connection.execute(
                sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            )
        ).scalars()
        return {
            table: sorted(
                (
                    await connection.execute(
                        sa.text(f"SELECT (to_jsonb(t) - 'mood')::text FROM {table} t")
                    )
                ).scalars()
            )
            for table in tables
            if table != "alembic_version"
        }


async def test_a_run_outlives_a_migration_forward_and_back(
    rig: Rig, ledger: Ledger, database_url: str, later: Path
) -> None:
    await rig.submit(recipe())
    await rig.step()
    first, *others = await rig.take()
    await rig.store(answered(first))
    before = await rows(ledger)
    assert len(before["answer"]) == 3

    at = f"the ledger is at migration {HEAD}"
    assert setup(database_url, "version", path=later).strip() == f"{at}; this version wants {NEXT}"
    assert f"migration {NEXT}" in setup(database_url, "upgrade", path=later)
    assert await rows(ledger) == before
    assert await rig.count("answer", "mood = 'calm'") == 3
    with pytest.raises(LedgerError, match="another version of prefmill"):
        await open_ledger(ledger, 0.0, migrate=False)
    assert "error: " in setup(database_url, "upgrade"), "this version does not know it"

    assert f"migration {HEAD}" in setup(database_url, "downgrade", HEAD, path=later)
    assert await rows(ledger) == before
    await open_ledger(ledger, 0.0, migrate=False)
    await rig.store(*(answered(batch) for batch in others))  # type: ignore[arg-type]
    assert await rig.work() == 6, "the verdicts; no answer is asked again"

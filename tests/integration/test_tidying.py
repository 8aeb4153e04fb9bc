"""Uploads go when nobody needs them, and only then."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from prefmill.contracts.api import RunRequest
from prefmill.coordinator.submission import submit
from prefmill.coordinator.tidying import DAY_S, tidy
from prefmill.coordinator.uploads import BROKEN_S, Uploads
from prefmill.ledger.database import Ledger

from .rig import recipe

KEEP_S = 100.0


async def sent(uploads: Uploads, text: str, *, ago_s: float) -> str:
    async def blocks() -> AsyncIterator[bytes]:
        yield text.encode()

    upload = await uploads.store(blocks())
    aged(uploads.folder / upload.sha256 / "content", ago_s)
    return upload.sha256


def aged(path: Path, ago_s: float) -> None:
    when = time.time() - ago_s
    os.utime(path, (when, when))


async def test_an_old_upload_goes_unless_any_revision_of_a_run_names_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    uploads = Uploads(tmp_path, 1000)
    first, second, asked, unnamed = [
        await sent(uploads, text, ago_s=200.0) for text in ("first", "second", "asked", "unnamed")
    ]
    fresh = await sent(uploads, "fresh", ago_s=50.0)
    mixed = {"mix": [{"jsonl": f"upload:{sha}/a.jsonl"} for sha in (first, second)]}
    await submit(ledger, RunRequest(recipe=recipe(source=mixed)), uploads.placed)
    await submit(
        ledger, RunRequest(recipe=recipe(source={"inline": ["x"]}), fresh=True), uploads.placed
    )
    assert uploads.find(asked)

    await tidy(ledger, uploads, KEEP_S)

    assert {path.name for path in tmp_path.iterdir()} == {first, second, asked, fresh}
    assert uploads.find(unnamed) is None


async def test_what_a_killed_coordinator_left_of_a_stream_goes_before_any_upload(
    ledger: Ledger, tmp_path: Path
) -> None:
    uploads = Uploads(tmp_path, 1000)
    kept = await sent(uploads, "whole", ago_s=2 * BROKEN_S)
    broken, growing = tmp_path / ".part-abc", tmp_path / ".part-def"
    for path, ago_s in ((broken, 2 * BROKEN_S), (growing, BROKEN_S / 2)):
        path.write_text("half of a")
        aged(path, ago_s)
    await tidy(ledger, uploads, 7 * DAY_S)
    assert {path.name for path in tmp_path.iterdir()} == {kept, growing.name}


async def test_only_what_is_an_upload_goes(ledger: Ledger, tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 1000)
    broken, others = tmp_path / ".part-abc", tmp_path / "datasets"
    broken.write_text("half of a")
    others.mkdir()
    for path in (broken, others):
        aged(path, 200.0)
    await tidy(ledger, uploads, KEEP_S)
    assert list(tmp_path.iterdir()) == [others]


async def test_a_coordinator_without_uploads_has_nothing_to_tidy(
    ledger: Ledger, tmp_path: Path
) -> None:
    await tidy(ledger, Uploads(tmp_path / "none", 1000), KEEP_S)
    assert not (tmp_path / "none").exists()


async def test_an_upload_that_is_sent_or_named_meanwhile_stays(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 1000)
    shas = [await sent(uploads, text, ago_s=200.0) for text in ("again", "named", "neither")]
    since = time.time() - KEEP_S
    idle = uploads.idle(since)
    assert sorted(idle) == sorted(shas)
    await sent(uploads, "again", ago_s=0.0)
    uploads.check({"jsonl": f"upload:{shas[1]}/a.jsonl"})
    uploads.remove(idle, since)
    assert {path.name for path in tmp_path.iterdir()} == set(shas[:2])

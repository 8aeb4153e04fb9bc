"""Uploads are kept whole, once, under their hash; references lead nowhere else."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.coordinator.domain.places import refuse_folder
from prefmill.coordinator.uploads import TooLarge, Uploads
from prefmill.plugins.errors import RecipeError

DATA = b"some prompts\n"
SHA = hashlib.sha256(DATA).hexdigest()


async def blocks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_the_same_content_is_kept_once(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100)
    one = await uploads.store(blocks(DATA[:5], DATA[5:]))
    two = await uploads.store(blocks(DATA))
    assert one == two == uploads.find(SHA)
    assert (one.sha256, one.bytes) == (SHA, len(DATA))
    assert [path.name for path in tmp_path.iterdir()] == [SHA]


async def test_a_stream_that_is_too_long_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        await Uploads(tmp_path, 5).store(blocks(DATA))
    assert list(tmp_path.iterdir()) == []


async def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield DATA
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await Uploads(tmp_path, 100).store(broken())
    assert list(tmp_path.iterdir()) == []


async def test_a_source_reads_an_upload_under_the_name_it_had(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100)
    await uploads.store(blocks(DATA))
    source = {"jsonl": [f"upload:{SHA}/a.jsonl", f"upload:{SHA}/b.jsonl"], "rows": 3}
    uploads.check(source)
    uploads.check(source)
    placed = uploads.placed(source)
    assert placed["rows"] == 3
    assert [Path(str(p)).read_bytes() for p in placed["jsonl"]] == [DATA, DATA]  # type: ignore[union-attr]
    assert [Path(str(p)).name for p in placed["jsonl"]] == ["a.jsonl", "b.jsonl"]  # type: ignore[union-attr]


def test_an_upload_that_is_not_here_is_said_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"source\.csv: rows\.csv was not sent"):
        Uploads(tmp_path, 100).check({"csv": f"upload:{SHA}/rows.csv"})


@given(st.text(alphabet="./\\~a\x00\n", max_size=12))
def test_a_reference_never_leads_out_of_its_folder(name: str) -> None:
    uploads = Uploads(Path("/uploads"), 100)
    try:
        placed = uploads.placed({"jsonl": f"upload:{SHA}/{name}"})
    except RecipeError:
        return
    path = Path(str(placed["jsonl"]))
    assert path.parent == Path("/uploads") / SHA
    assert ".." not in path.parts


@pytest.mark.parametrize("folder", ["", None, "team/one", "s3://bucket/prefix", "gs://b/x"])
def test_exports_from_elsewhere_may_go_below_the_sinks_folder_or_to_a_store(
    folder: str | None,
) -> None:
    refuse_folder(folder)


@pytest.mark.parametrize(
    "folder", ["/etc", "~/x", "a/../../x", "file:///x", "memory://x", "s3://b::file:///x", "a\\b"]
)
def test_exports_from_elsewhere_go_nowhere_else(folder: str) -> None:
    with pytest.raises(RecipeError, match="directory"):
        refuse_folder(folder)

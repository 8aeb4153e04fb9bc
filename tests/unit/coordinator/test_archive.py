"""A download is a tar file that was never a file."""

import asyncio
import io
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import StreamingResponse

from prefmill.coordinator.archive import PIECE, archive


async def content(response: StreamingResponse) -> bytes:
    pieces = [piece async for piece in response.body_iterator]
    whole = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert response.headers["content-length"] == str(len(whole))
    return whole


def files_of(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r|") as tar:
        streams = ((member.name, tar.extractfile(member)) for member in tar)
        return {name: stream.read() for name, stream in streams if stream}


NAMES = st.text("abü. ", min_size=1, max_size=120).filter(
    lambda name: not name.startswith(".") and len(name.encode()) < 250
)


@given(st.dictionaries(NAMES, st.binary(max_size=1500), max_size=4))
def test_what_comes_is_the_folder_byte_by_byte(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "trl"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        found = files_of(asyncio.run(content(archive("my run", Path(place)))))
    assert found == {f"my run/trl/{name}": data for name, data in files.items()}


async def test_what_is_hidden_and_what_is_no_file_stays_behind(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(bytes(2 * PIECE + 3))
    (tmp_path / ".prefmill-export").mkdir()
    (tmp_path / ".prefmill-export" / "marker.json").write_text("{}")
    (tmp_path / "link").symlink_to("/etc/hostname")
    found = files_of(await content(archive("läuft", tmp_path)))
    assert found == {"läuft/a.parquet": bytes(2 * PIECE + 3)}


async def test_nothing_is_written_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there-is-none"))
    (tmp_path / "a").write_text("data")
    assert files_of(await content(archive("r", tmp_path))) == {"r/a": b"data"}


async def test_a_file_that_shrinks_while_it_is_sent_breaks_the_download(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(1000))
    response = archive("r", tmp_path)
    file.write_bytes(b"less")
    with pytest.raises(EOFError, match="has lost 996 bytes"):
        await content(response)


def test_a_name_of_any_letters_is_the_file_s(tmp_path: Path) -> None:
    said = archive("läuft/x", tmp_path).headers["content-disposition"]
    assert said == "attachment; filename*=utf-8''l%C3%A4uft%2Fx.tar"

"""A dataset's tar file is unpacked to plain files within its folder, or not at all."""

import contextlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.cli.fetching import room_beside, unpack
from prefmill.cli.places import refuse_foreign
from prefmill.cli.stop import Stop


def tar_of(*members: tarfile.TarInfo) -> tarfile.TarFile:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for member in members:
            member.size = 4 if member.isfile() else 0
            tar.addfile(member, io.BytesIO(b"data") if member.isfile() else None)
    stream.seek(0)
    return tarfile.open(fileobj=stream, mode="r|")


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def test_the_first_folder_is_left_out(tmp_path: Path) -> None:
    unpack(tar_of(tarfile.TarInfo("run/README.md"), tarfile.TarInfo("run/raw/a.parquet")), tmp_path)
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert found == ["README.md", "raw/a.parquet"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(tarfile.TarError):
        unpack(tar_of(link("run/x", "/etc/passwd", kind)), tmp_path)


@given(st.lists(st.sampled_from(["..", "a", "/", "run", "~"]), min_size=1, max_size=6))
def test_nothing_lands_outside_of_the_folder(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    outer = tmp_path_factory.mktemp("outer")
    (outer / "folder").mkdir()
    with contextlib.suppress(tarfile.TarError, OSError):
        unpack(tar_of(tarfile.TarInfo("/".join(parts))), outer / "folder")
    assert [path.name for path in outer.iterdir()] == ["folder"]


def test_what_a_kill_left_of_a_download_goes_with_the_next_and_a_live_one_stays(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "out" / "[mine]"
    with room_beside(folder) as live:
        left = folder.with_name(f".{folder.name}.part-of-a-dead-process")
        left.mkdir()
        (left / "half.parquet").write_bytes(b"PAR1")
        with room_beside(folder) as room:
            assert {live, room} == set(folder.parent.iterdir()), "the dead one is gone"
        assert list(folder.parent.iterdir()) == [live]
        live.rename(folder)
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(Stop):
        refuse_foreign(tmp_path)

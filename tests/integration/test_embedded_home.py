"""The home of the embedded stack: whose it is, which layout it has, what may stand in the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefmill.cli.connect import connect
from prefmill.cli.embedded import EmbeddedError, Home
from prefmill.cli.embedded.lock import Lock
from prefmill.cli.embedded.sockets import SOCKET, fits, remove_short_folder, socket_folder
from prefmill.cli.stop import Stop

HOLD_THE_HOME = """
import sys
from prefmill.cli.embedded import Home
home = Home(sys.argv[1]).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_new_home_is_private_and_the_folders_above_keep_their_modes(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir(mode=0o711)
    with Home(above / "new" / "home") as home:
        assert home.path.stat().st_mode & 0o777 == 0o700
        assert (home.path / "VERSION").read_text() == "prefmill home, layout 1\n"
        assert (home.path / ".gitignore").read_text() == "*\n"
    assert above.stat().st_mode & 0o777 == 0o711


def test_the_home_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFMILL_HOME", str(tmp_path / "elsewhere"))
    assert Home().path == tmp_path / "elsewhere"
    monkeypatch.delenv("PREFMILL_HOME")
    monkeypatch.chdir(tmp_path)
    assert Home().path == tmp_path / ".prefmill"


def test_a_second_run_in_the_same_home_is_told_which_process_holds_it(tmp_path: Path) -> None:
    holder = _hold(tmp_path / "home")
    with pytest.raises(EmbeddedError) as refused:
        Home(tmp_path / "home").acquire()
    holder.communicate()
    said = str(refused.value)
    assert said.startswith(f"prefmill is already running in {tmp_path}/home (process {holder.pid},")
    assert f"kill {holder.pid}" in said
    assert "PREFMILL_HOME" in said
    assert "\n" not in said


def test_a_lock_whose_holder_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    holder = _hold(tmp_path / "home")
    holder.kill()
    holder.communicate()
    with Home(tmp_path / "home") as home:
        assert json.loads((home.path / "lock").read_text())["pid"] == os.getpid()


def test_who_asks_while_the_home_starts_is_told_so_and_not_to_start_another(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with pytest.raises(Stop, match=r"no coordinator runs in .*start one with `prefmill up`"):
        connect(None, str(home))
    holder = _hold(home)
    with pytest.raises(Stop, match=rf"is starting in .*process {holder.pid}.* ask again"):
        connect(None, str(home))
    holder.kill()
    holder.communicate()
    with pytest.raises(Stop, match="no coordinator runs in"):
        connect(None, str(home))


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    gate, opener = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opener)
        os.read(gate, 1)
        os._exit(0)
    lock.release()
    Lock(tmp_path / "lock").release()
    os.close(opener)
    os.close(gate)
    os.waitpid(child, 0)


def test_a_home_is_acquired_once_and_can_be_acquired_again_after_its_release(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home").acquire()
    assert home.acquire() is home
    home.release()
    with Home(tmp_path / "home"):
        pass


@pytest.mark.parametrize(
    ("stamp", "says"),
    [
        ("prefmill home, layout 99\n", "made by a newer prefmill (layout 99; this one uses"),
        ("prefmill home, layout 0\n", "made by an older prefmill (layout 0; this one uses"),
        ("something else", "made by an older prefmill (layout something else;"),
        ("", "made by an older prefmill (layout ?;"),
    ],
)
def test_a_home_of_another_layout_stops_with_one_clear_line(
    tmp_path: Path, stamp: str, says: str
) -> None:
    (tmp_path / "VERSION").write_text(stamp)
    with pytest.raises(EmbeddedError) as refused:
        Home(tmp_path).acquire()
    assert says in str(refused.value)
    assert f"mv {tmp_path} {tmp_path}.old" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_with_other_files_is_never_taken_for_a_home(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(EmbeddedError, match=r"holds files \(thesis.tex\) but no VERSION"):
        Home(tmp_path).acquire()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_home_left_before_its_stamp_was_written_is_taken_up(tmp_path: Path) -> None:
    for name in ("lock", ".gitignore", "VERSION.new"):
        (tmp_path / name).touch()
    with Home(tmp_path) as home:
        assert (home.path / "VERSION").exists()


def test_a_home_that_cannot_be_a_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=r"cannot be used: .*/file\)"):
        Home(tmp_path / "file" / "home").acquire()
    with pytest.raises(EmbeddedError, match=r"cannot be used: File exists \(.*/file\)"):
        Home(tmp_path / "file").acquire()


def test_a_full_disk_is_named_with_what_is_left_and_what_is_needed(tmp_path: Path) -> None:
    with Home(tmp_path / "home") as home, pytest.raises(EmbeddedError, match="MB are left, 99999"):
        home.need_room(9999999999)


def test_a_log_that_grew_large_is_put_aside(tmp_path: Path) -> None:
    with Home(tmp_path / "home") as home:
        home.log("nats").write_bytes(b"x" * (9 << 20))
        assert not home.log("nats").exists()
        assert (home.logs / "nats.log.1").exists()


def test_a_path_too_long_or_too_odd_for_a_socket_gets_a_short_private_folder(
    tmp_path: Path,
) -> None:
    for name in ("x" * 120, "comma,name"):
        run = tmp_path / name
        run.mkdir()
        folder = socket_folder(run)
        assert fits(folder)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert socket_folder(run) == folder
        (folder / SOCKET).touch()
        remove_short_folder(run)
        assert not folder.exists()


def test_a_short_folder_that_someone_else_may_enter_is_not_used_again(tmp_path: Path) -> None:
    run = tmp_path / ("x" * 120)
    run.mkdir()
    first = socket_folder(run)
    first.chmod(0o777)
    second = socket_folder(run)
    assert second != first
    first.rmdir()
    remove_short_folder(run)


def _hold(path: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_HOME, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder

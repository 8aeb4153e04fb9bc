"""Who the embedded servers live and die with, and as whom they run."""

import json
import os
import select
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefmill.cli.embedded import Home, start_all, start_postgres
from prefmill.cli.embedded.leftovers import leftovers

SOURCE = Path(__file__).parents[2] / "cli"
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")

START_ALL = """
import json, os, sys
from prefmill.cli.embedded import EmbeddedError, start_all
try:
    servers = start_all(sys.argv[1])
except EmbeddedError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit(1)
told = {"postgres": servers.postgres.pid, "nats": servers.nats.pid, "user": os.geteuid()}
print(json.dumps(told), flush=True)
sys.stdin.read()
servers.stop()
"""

LAUNCH_POSTGRES = """
import sys
import sysconfig
from prefmill.cli.embedded import Home, launch_postgres
postgres = launch_postgres(Home(sys.argv[1]))
print(postgres.pid, flush=True)
sys.stdin.read()
"""

# Docker's default set, less what has nothing to do with files and users.
DOCKER = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded") / "home"
    start_all(folder).stop()
    return folder


@pytest.fixture
def reachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that an ordinary user owns and can reach; pytest's own ones are closed to them."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="prefmill-test-"))
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def test_a_parent_killed_with_9_takes_both_servers_along(folder: Path) -> None:
    parent = _start(START_ALL, folder)
    told = _told(parent)
    pids = [told["nats"], *leftovers("postgres", folder / "postgres" / "data")]
    assert told["postgres"] in pids
    endings = [os.pidfd_open(pid) for pid in pids]
    parent.kill()
    parent.communicate()
    assert all(_ends(ending) for ending in endings)
    with start_all(folder) as servers:
        assert servers.postgres.poll() is None


def test_a_parent_killed_during_initdb_leaves_a_home_that_starts(tmp_path: Path) -> None:
    parent = _start(LAUNCH_POSTGRES, tmp_path / "home")
    assert parent.stdout is not None
    ending = os.pidfd_open(int(parent.stdout.readline()))
    while not list((tmp_path / "home" / "postgres").glob("init-*/PG_VERSION")):
        assert parent.poll() is None
    parent.kill()
    parent.communicate()
    assert _ends(ending)
    with Home(tmp_path / "home") as home:
        start_postgres(home).stop()
        assert not list(home.postgres.glob("init-*"))


def test_a_ctrl_c_at_the_terminal_does_not_reach_the_servers(folder: Path) -> None:
    with start_all(folder) as servers:
        groups = {os.getpgid(server.pid) for server in (servers.postgres, servers.nats)}
        assert os.getpgid(0) not in groups


@as_root
def test_as_root_postgres_is_an_ordinary_user_below_a_folder_closed_to_others(
    tmp_path: Path,
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with start_all(closed / "home") as servers:
        status = Path(f"/proc/{servers.postgres.pid}/status").read_text()
        data = servers.home.postgres / "data"
        assert data.stat().st_uid == NOBODY
        assert f"Uid:\t{NOBODY}\t{NOBODY}" in status
        assert "CapEff:\t0000000000000002" in status
    assert closed.stat().st_mode & 0o777 == 0o700
    assert (closed.stat().st_uid, (closed / "home").stat().st_uid) == (0, 0)


@as_root
def test_as_root_a_home_of_an_ordinary_user_keeps_its_owner(tmp_path: Path) -> None:
    with Home(tmp_path / "home") as home:
        os.chown(home.postgres, 1, 1)
        start_postgres(home).stop()
        assert (home.postgres / "data" / "PG_VERSION").stat().st_uid == 1


@as_root
def test_an_ordinary_user_starts_and_starts_again(reachable: Path) -> None:
    if (python := _python_for_all()) is None:
        pytest.skip("no Python that an ordinary user may run")
    for _ in range(2):
        parent = _start(START_ALL, reachable / "home", python, user=NOBODY, group=NOBODY)
        told = _told(parent)
        assert told["user"] == NOBODY, told
        parent.communicate("")
        assert parent.returncode == 0


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes rights from root")
def test_root_with_the_rights_of_a_container_can_start(folder: Path) -> None:
    parent = _start(START_ALL, folder, "setpriv", f"--bounding-set={DOCKER}", sys.executable)
    told = _told(parent)
    assert "error" not in told, told
    parent.communicate("")
    assert parent.returncode == 0


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes rights from root")
def test_root_without_any_rights_is_told_to_be_an_ordinary_user(tmp_path: Path) -> None:
    parent = _start(START_ALL, tmp_path, "setpriv", "--bounding-set=-all", sys.executable)
    said = _told(parent)["error"]
    parent.communicate("")
    assert "What to do: Run prefmill as an ordinary user" in said


@as_root
def test_a_disk_that_is_full_is_named_before_anything_is_written(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "prefmill-test", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this root may not mount")
    try:
        parent = _start(START_ALL, disk / "home")
        said = _told(parent)["error"]
        parent.communicate("")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert f"The disk of {disk}/home is full: 19 MB are left, 200 MB are needed." in said
    assert "Free some space" in said


def _start(code: str, home: Path, *python: str, **who: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*(python or (sys.executable,)), "-c", code, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{SOURCE}:{sysconfig.get_path('purelib')}"},
        extra_groups=[] if who else None,
        **who,
    )


def _told(parent: "subprocess.Popen[str]") -> dict[str, Any]:
    assert parent.stdout is not None
    return json.loads(parent.stdout.readline())


def _ends(pidfd: int) -> bool:
    """Whether the process ends within ten seconds; the kernel tells, nothing is polled."""
    ended, _, _ = select.select([pidfd], [], [], 10)
    os.close(pidfd)
    return bool(ended)


def _python_for_all() -> str | None:
    """An interpreter of 3.11 or later outside folders closed to others."""
    new_enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            subprocess.run([python, "-c", new_enough], user=NOBODY, cwd="/", check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None

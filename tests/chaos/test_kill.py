"""Kill anything in the middle: the data is the same as without, and little is asked twice."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import Folder, Simulator, line_recipe, simulator, tables, until

pytestmark = pytest.mark.slow

FAULTS = "429=0.02,500=0.01,reset=0.01,malformed=0.1,empty=0.01"
SERVICES = ("coordinator", "generator", "judge", "sink")
CELLS = 60 * 2 + 60 * 2 * 2
IN_FLIGHT = 60 * 2
"""Cells that batches in flight can hold, of one kind, in a run this small."""


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with simulator("--faults", FAULTS, "--latency", "60ms", "--retry-after", "50ms") as server:
        yield server


def recipe(server: Simulator) -> dict[str, Any]:
    made = line_recipe(server)
    for spec in (*made["models"].values(), *made["judges"].values()):
        spec["concurrency"] = 4
    return made


@pytest.fixture(scope="module")
def undisturbed(
    server: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    folder = Folder(tmp_path_factory.mktemp("undisturbed"))
    file = folder.recipe("line.yaml", recipe(server))
    folder.run("run", file, "--yes", "--output", folder.path / "out")
    return tables(folder.path / "out")


def pid_of(folder: Folder, name: str) -> int:
    file = folder.path / ".prefmill" / "run" / f"{name}.pid"
    return int(until(lambda: file.exists() and file.read_text().strip(), f"pid of the {name}"))


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("share", [0.25, 0.6])
def test_a_killed_service_changes_nothing_in_the_data(
    server: Simulator,
    undisturbed: dict[str, list[dict[str, Any]]],
    tmp_path: Path,
    name: str,
    share: float,
) -> None:
    folder = Folder(tmp_path)
    file = folder.recipe("line.yaml", recipe(server))
    before = server.stats()["by_status"].get("200", 0)
    process = folder.start("run", file, "--yes", "--output", tmp_path / "out")
    until(lambda: server.stats()["by_status"].get("200", 0) - before > CELLS * share, "calls")
    pid = pid_of(folder, name)
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH, "it takes turns with the others"
    os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=110)
    assert process.returncode == 0, output
    assert tables(tmp_path / "out") == undisturbed


def test_a_killed_process_group_goes_on_where_it_was(
    server: Simulator, undisturbed: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder = Folder(tmp_path)
    file = folder.recipe("line.yaml", recipe(server))
    for share in (0.3, 0.6):
        before = server.stats()["by_status"].get("200", 0)
        process = folder.start("run", file, "--yes", "--output", tmp_path / "out")
        until(
            lambda before=before, share=share: (
                server.stats()["by_status"].get("200", 0) - before > CELLS * share / 2
            ),
            "calls",
        )
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    before = server.calls()
    output = folder.run("run", file, "--yes", "--output", tmp_path / "out")
    assert "calls were with workers when everything was killed, and made again" in output
    assert tables(tmp_path / "out") == undisturbed
    assert server.calls() - before < CELLS, "what was stored is not asked again"


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(
    server: Simulator, undisturbed: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder = Folder(tmp_path)
    file = folder.recipe("line.yaml", recipe(server))
    before = server.stats()["by_status"].get("200", 0)
    process = folder.start("run", file, "--yes", "--output", tmp_path / "out")
    until(lambda: server.stats()["by_status"].get("200", 0) - before > CELLS * 0.4, "calls")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "again" in output or "go on" in output
    stopped = server.calls()
    folder.run("export", file, "--format", "raw", "--output", tmp_path / "part")
    assert server.calls() == stopped, "who asks for a dataset has not agreed to pay"
    assert "killed" not in folder.run("run", file, "--yes", "--output", tmp_path / "out")
    assert tables(tmp_path / "out") == undisturbed
    asked = server.stats()["by_status"].get("200", 0) - before
    assert asked <= CELLS * 1.25, "a clean stop throws no paid answer away"

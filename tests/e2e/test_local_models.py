"""Models that run on this machine, each in a process and on devices of its own, through the real
command; the engine is a stand-in, everything around it is real."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from .command import Folder, tables, until

PLUGINS = Path(__file__).parents[1] / "flow" / "plugins"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))
    monkeypatch.setenv("PREFMILL_GPUS", "2")
    monkeypatch.setenv("PREFMILL_WORKER_GRACE_S", "1")
    return Folder(tmp_path)


def recipe(folder: Folder, rows: int = 40, **models: dict[str, Any]) -> dict[str, Any]:
    """Each model answers `say [3, 5]` with `[3, 5]`; a judge reads its ratings from it."""
    starts = str(folder.path / "starts")

    def local(name: str, **options: Any) -> dict[str, Any]:
        return {"engine": "local", "model": name, "starts": starts, **options}

    return {
        "name": "local",
        "source": {"inline": [f"say [{1 + row % 5}, {1 + row % 3}]" for row in range(rows)]},
        "models": {name: local(name, **options) for name, options in models.items()},
        "judges": {"judge": local("judge")},
        "judge": {"rubric": "scripted"},
        "output": {"formats": ["raw"]},
    }


def starts(folder: Folder) -> list[list[str]]:
    """Model, process id and devices of each start."""
    file = folder.path / "starts"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def check_whole(folder: Folder, rows: int) -> None:
    raw = tables(folder.path / "out" / "local")["raw"]
    assert len(raw) == rows
    for row in raw:
        assert len(row["generations"]) == 2
        assert all(row["generations"])
        assert [status for verdict in row["verdicts"] for status in verdict["statuses"]] == [
            "rated",
            "rated",
        ]


@pytest.mark.slow
def test_each_model_and_judge_has_devices_of_its_own(folder: Folder) -> None:
    file = folder.recipe("local.yaml", recipe(folder, a={}, b={}))
    said = folder.run("run", file)
    check_whole(folder, 40)
    placed = {model: devices for model, _, devices in starts(folder)}
    assert {placed["a"], placed["b"]} == {"0", "1"}
    assert len(starts(folder)) == 3, "each is loaded once"
    assert "a is being loaded on GPU" in said


@pytest.mark.slow
def test_with_fewer_devices_than_models_they_run_one_after_the_other(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder.recipe("local.yaml", recipe(folder, a={"gpus": 2}, b={"gpus": 1}))
    said = folder.run("run", file)
    check_whole(folder, 40)
    assert [(model, devices) for model, _, devices in starts(folder)] == [
        ("a", "0,1"),
        ("b", "0"),
        ("judge", "1"),
    ]
    assert "no device is free for it yet; 40 rows wait for it" in said


def test_a_model_that_wants_more_devices_than_there_are_stops_the_run_before_it_begins(
    folder: Folder,
) -> None:
    file = folder.recipe("local.yaml", recipe(folder, a={"gpus": 3}, b={}))
    said = folder.run("run", file, code=2)
    assert "models.a: it wants 3 GPUs, this machine has 2 GPUs" in said
    assert not starts(folder)


@pytest.mark.slow
def test_a_killed_model_is_loaded_again_and_nothing_is_lost(folder: Folder) -> None:
    slow = recipe(folder, a={"most": 1}, b={})
    slow["source"]["inline"] = [f"sleep 0.0{1 + row % 7}" for row in range(200)]
    slow["judge"]["rubric"] = {"ultrafeedback": ["honesty"]}
    slow["judges"] = {"judge": {"engine": "simulated", "model": "judge"}}
    process = folder.start("run", folder.recipe("local.yaml", slow))
    until(lambda: len(starts(folder)) == 2, "start of both models")
    until(
        lambda: any(p.stat().st_size for p in (folder.path / ".prefmill").glob("logs/*a-*")), "log"
    )
    (pid,) = {int(pid) for model, pid, _ in starts(folder) if model == "a"}
    os.kill(pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=110)
    assert process.returncode == 0, said
    assert "killed by SIGKILL) and is started again" in said
    assert [model for model, _, _ in starts(folder)].count("a") == 2
    raw = tables(folder.path / "out" / "local")["raw"]
    assert [row["generations"] for row in raw] == [
        [f"echo {prompt}"] * 2 for prompt in slow["source"]["inline"]
    ]

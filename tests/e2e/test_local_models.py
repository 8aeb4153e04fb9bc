"""Models that run on this machine, each in a process and on devices of its own, through the real
command; the engine is a stand-in, everything around it is real."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from prefmill.cli.connect import live
from prefmill.contracts.api import SlotStatus

from .command import Folder, heard, tables, until

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
    assert "no worker has a device for it yet; 40 rows wait for it" in said


def state_of(folder: Folder, alias: str) -> SlotStatus:
    """How the one run of the folder stands with a model."""
    client = until(lambda: live(str(folder.path / ".prefmill")), "coordinator")
    (run,) = until(client.runs, "run")
    return next(slot for slot in run.slots if slot.alias == alias)


def failures(folder: Folder) -> list[dict[str, Any]]:
    file = folder.path / "out" / "local" / "failures.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def broken(folder: Folder, how: str, rule: str) -> dict[str, Any]:
    """Three models, two for each row, one of which cannot be loaded."""
    fault = folder.path / "fault"
    fault.write_text(how)
    made = recipe(folder, a={}, b={}, c={"fails": str(fault), "load_s": 1.2})
    made["generate"] = {"sampler": {"sample": 2}, "on_unavailable": rule}
    return made


def drawn(folder: Folder) -> list[dict[str, str | None]]:
    """Model → its answer, by row."""
    raw = tables(folder.path / "out" / "local")["raw"]
    return [dict(zip(row["generation_models"], row["generations"], strict=True)) for row in raw]


@pytest.mark.slow
def test_rows_of_a_model_that_cannot_be_loaded_are_given_to_another(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFMILL_GPUS", "4")
    said = folder.run("run", folder.recipe("local.yaml", broken(folder, "no memory", "redraw")))
    assert "all calls are done" in said
    check_whole(folder, 40)
    assert {frozenset(row) for row in drawn(folder)} == {frozenset("ab")}
    failed = failures(folder)
    assert {line["reason"] for line in failed} == {"unavailable"}
    assert {line["cell"]["alias"] for line in failed} == {"c"}
    assert all("was drawn in its place: no memory" in line["detail"] for line in failed)


@pytest.mark.slow
def test_a_model_whose_worker_is_killed_at_each_load_is_skipped(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFMILL_GPUS", "4")
    folder.run("run", folder.recipe("local.yaml", broken(folder, "killed", "skip")))
    assert len([model for model, *_ in starts(folder) if model == "c"]) >= 3
    rows = drawn(folder)
    without = [row for row in rows if "c" in row]
    assert 0 < len(without) < 40
    assert all(row.pop("c") is None for row in without)
    assert all(all(row.values()) for row in rows), "what the others owe is there"
    assert len(failures(folder)) == len(without)
    assert all("have ended while they loaded" in line["detail"] for line in failures(folder))


@pytest.mark.slow
def test_a_run_waits_for_a_model_lost_on_the_way_says_so_and_goes_on_when_it_is_back(
    folder: Folder,
) -> None:
    made = recipe(folder, a={"most": 1, "fails": str(folder.path / "fault")}, b={})
    made["source"]["inline"] = [f"sleep 0.0{1 + row % 7}" for row in range(200)]
    made["judges"] = {"judge": {"engine": "simulated", "model": "judge"}}
    made["judge"]["rubric"] = {"ultrafeedback": ["honesty"]}
    process = folder.start("run", folder.recipe("local.yaml", made))
    until(lambda: len(starts(folder)) == 2, "start of both models")
    (pid,) = {int(pid) for model, pid, _ in starts(folder) if model == "a"}
    until(lambda: state_of(folder, "a").done, "first answers")
    (folder.path / "fault").write_text("no memory")
    os.kill(pid, signal.SIGKILL)
    heard(process, r"models\.a: unusable: no memory; \d+ rows wait for it")
    until(lambda: state_of(folder, "b").done == 200, "what the other owes")
    (folder.path / "fault").unlink()
    folder.run("retry", "local")
    said, _ = process.communicate(timeout=110)
    assert process.returncode == 0, said
    raw = tables(folder.path / "out" / "local")["raw"]
    assert [row["generations"] for row in raw] == [
        [f"echo {prompt}"] * 2 for prompt in made["source"]["inline"]
    ]


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

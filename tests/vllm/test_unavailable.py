"""Models that vLLM cannot load, through the whole command: what others owe goes on, or the run
says what is wrong before anything is spent. The others are simulated: vLLM itself is imported only
for the architecture that it does not know."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import PROMPTS, Folder, tables

ROWS = 40


@pytest.fixture
def folder(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Beside the command: a folder cut short, and one of an architecture that nobody knows."""
    monkeypatch.setenv("PREFMILL_CPU_MODELS", "3")
    half, odd = tmp_path / "half", tmp_path / "odd"
    shutil.copytree(tiny, half)
    weights = half / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    shutil.copytree(tiny, odd)
    config = json.loads((odd / "config.json").read_text())
    (odd / "config.json").write_text(json.dumps(config | {"architectures": ["AbacusForCausalLM"]}))
    return Folder(tmp_path)


def recipe(folder: Folder, rule: str, *broken: str, sampler: Any = "all") -> dict[str, Any]:
    models = {name: {"engine": "vllm", "model": str(folder.path / name)} for name in broken}
    sound = {name: {"engine": "simulated", "model": f"sim-{name}"} for name in "xy"}
    return {
        "name": "odd",
        "seed": 3,
        "source": {"inline": PROMPTS[:ROWS]},
        "models": {**models, **sound},
        "generate": {"sampler": sampler, "on_unavailable": rule},
        "judges": {"judge": {"engine": "simulated", "model": "sim-judge"}},
        "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
        "output": {"formats": ["raw"]},
    }


def run(folder: Folder, made: dict[str, Any], code: int = 0) -> str:
    """What the command says; importing vLLM may take minutes on a busy machine."""
    file = folder.recipe("odd.yaml", made)
    process = folder.start("run", file, "--yes", "--output", folder.path / "out")
    said, _ = process.communicate(timeout=280)
    assert process.returncode == code, said
    return said


def failures(folder: Folder) -> dict[str, list[str]]:
    """Model → why, for each answer that was not had."""
    why: dict[str, list[str]] = {}
    for line in (folder.path / "out" / "failures.jsonl").read_text().splitlines():
        failed = json.loads(line)
        assert failed["reason"] == "unavailable"
        why.setdefault(failed["cell"]["alias"], []).append(failed["detail"])
    return why


def test_models_that_are_missing_half_written_or_unknown_are_skipped(folder: Folder) -> None:
    run(folder, recipe(folder, "skip", "none", "half", "odd"))
    why = failures(folder)
    assert {name: len(said) for name, said in why.items()} == {
        "none": ROWS,
        "half": ROWS,
        "odd": ROWS,
    }
    assert "there is no model folder" in why["none"][0]
    assert "half-written" in why["half"][0]
    assert "AbacusForCausalLM" in why["odd"][0]
    for row in tables(folder.path / "out")["raw"]:
        given = dict(zip(row["generation_models"], row["generations"], strict=True))
        assert [name for name, text in given.items() if text] == ["sim-x", "sim-y"]


def test_other_models_are_drawn_for_those_that_are_missing_or_half_written(folder: Folder) -> None:
    run(folder, recipe(folder, "redraw", "none", "half", sampler={"sample": 2}))
    rows = tables(folder.path / "out")["raw"]
    assert len(rows) == ROWS
    assert all(sorted(row["generation_models"]) == ["sim-x", "sim-y"] for row in rows)
    assert all(all(row["generations"]) for row in rows)
    assert all(
        "was drawn in its place" in said for why in failures(folder).values() for said in why
    )


def test_a_run_that_waits_for_its_models_says_at_once_that_one_is_not_there(folder: Folder) -> None:
    said = run(folder, recipe(folder, "wait", "none", "half"), code=2)
    assert "models.none: there is no model folder" in said
    assert "models.half: " in said
    assert "half-written" in said


def test_a_run_that_waits_stops_before_anything_is_spent_where_a_model_cannot_be_loaded(
    folder: Folder,
) -> None:
    said = run(folder, recipe(folder, "wait", "odd"), code=1)
    assert "models.odd: vLLM cannot start" in said
    assert "AbacusForCausalLM" in said
    assert not (folder.path / "out").exists(), "nothing was asked"

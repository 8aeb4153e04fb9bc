"""Plugins of others, through the real command: a distribution with one of each group, and functions
in a file beside the recipe."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from .command import Folder, simulator, tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SAMPLE = Path(__file__).parents[1] / "sample_plugin"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample distribution, built and unpacked where Python finds it: an installation."""
    target = tmp_path / "site"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=SAMPLE, check=True, capture_output=True, timeout=60)
    wheel = next(tmp_path.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    monkeypatch.setenv("PYTHONPATH", str(target))
    return target


def outcome(out: Path) -> dict[str, Any]:
    """Of all configs; each adds up."""
    found = json.loads((out / "run.json").read_text())["outcome"]
    for sums in found.values():
        assert sums["prompts"] == sums["out"] + sums["ties"] + sum(sums["dropped"].values())
    return found


def test_an_outside_distribution_brings_a_plugin_of_each_group(
    tmp_path: Path, installed: Path
) -> None:
    folder = Folder(tmp_path)
    recipe = {
        "name": "sample",
        "source": {"counting": 12},
        "transforms": [{"ask-nicely": "kindly", "skip": "number 3"}],
        "models": {
            alias: {"engine": "parrot", "model": alias, "times": times}
            for times, alias in enumerate(("one", "two", "three"), 1)
        },
        "generate": {"sampler": {"in-turn": 2}},
        "judges": {"j": {"engine": "parrot", "model": "counter"}},
        "judge": {"rubric": {"brevity": 50}},
        "pool": {"judges": "strictest"},
        "output": {"formats": ["winners", "raw"], "listing": str(tmp_path / "list.txt")},
    }
    file = folder.recipe("sample.yaml", recipe)
    folder.run("run", file, "--yes", "--strict", "--output", tmp_path / "out")
    found = outcome(tmp_path / "out")
    assert found["winners"] == {
        "prompts": 12, "out": 11, "ties": 0, "dropped": {"by-ask-nicely": 1},
        "records": 11, "test": 0,
    }  # fmt: skip
    drawn = [("one", "two"), ("two", "three"), ("three", "one")]
    for row in tables(tmp_path / "out")["winners"]:
        number = int(row["id"][1:])
        times = [("one", "two", "three").index(alias) + 1 for alias in drawn[number % 3]]
        assert row["text"] == " ".join([f"kindly Say number {number}"] * min(times))
        assert row["score"] == 50 - 4 * min(times)
    listed = (tmp_path / "list.txt").read_text().splitlines()
    assert any(line.endswith(" winners/train-00000.parquet") for line in listed)
    people = json.loads((tmp_path / "out" / "run.json").read_text())["rubrics"][0]["people"]
    assert people["brevity"]["fields"][1]["text"] == "50 words or more give no point."
    shown = folder.run("plugins")
    for name in ("parrot", "counting", "in-turn", "ask-nicely", "brevity", "strictest", "winners"):
        assert any(
            line.split()[:3] == [name, "prefmill-sample-plugin", "1.2.3"]
            for line in shown.splitlines()
        ), name
    assert "How often it says it." in folder.run("plugins", "parrot")
    (installed / "sample_plugin" / "pool.py").write_text("import absent_library\n")
    said = folder.run("run", file, "--yes", code=2)
    assert "pool.judges: the pool 'strictest' (sample_plugin.pool:Strictest) cannot be im" in said


def test_transforms_see_the_rows_they_would_have_seen_in_one_go(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    recipe = {
        "name": "rows",
        "source": {"inline": ["One", "Two", "One", "Three", "Two", "Four", "one ", "Five", "Six"]},
        "transforms": [{"dedup": None, "exact": False}, {"filter": "instruction != 'Five'"}],
        "models": {a: {"engine": "simulated", "model": f"sim-{a}"} for a in ("a", "b")},
        "judges": {"j": {"engine": "simulated", "model": "sim-j"}},
        "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
        "output": {"formats": ["raw", "trl"], "transforms": [{"filter": "margin >= 1"}]},
    }
    file = folder.recipe("rows.yaml", recipe)
    folder.run("run", file, "--rows", "3", "--output", tmp_path / "out")
    assert outcome(tmp_path / "out")["raw"]["dropped"]["by-dedup"] == 1
    folder.run("run", file, "--strict", "--output", tmp_path / "out")
    folder.run("run", file, "--strict", "--home", tmp_path / "other", "--output", tmp_path / "one")
    assert tables(tmp_path / "out") == tables(tmp_path / "one")
    sums = outcome(tmp_path / "out")
    assert sums == outcome(tmp_path / "one")
    equal = sums["trl"]["dropped"].pop("by-output-filter", 0)
    assert sums["trl"]["dropped"] == {"by-dedup": 3, "by-filter": 1}
    assert sums["raw"]["out"] == 9 - 3 - 1 - equal
    assert (tmp_path / "out" / "failures.jsonl").read_text() == ""
    folder.run("export", "rows", "--format", "raw", "--output", tmp_path / "all")
    assert "other `transforms`" in folder.run(
        "run", file, "--set", "transforms=[dedup]", "--output", tmp_path / "out", code=2
    )


MINE = """
    import re

    import prefmill.plugins


    @prefmill.plugins.pool
    def halved(ratings):
        columns = [[r for r in column if r is not None] for column in zip(*ratings)]
        return [sum(column) / len(column) / 2 if column else None for column in columns]


    @prefmill.plugins.transform
    def no_second(row):
        return row["id"] != "1"


    @prefmill.plugins.format(columns={"prompt": str, "best": float})
    def flat(row):
        return {"prompt": row["instruction"], "best": row["best"]}


    @prefmill.plugins.rubric(
        scale=(1, 5),
        user="Rate 1 to 5. {{ instruction }}: {% for t in generations %}{{ t }}{% endfor %}",
    )
    def digit(answer):
        found = re.search("[1-5]", answer)
        return int(found[0]) if found else None
"""


def test_functions_of_a_file_work_in_every_process_and_after_the_run(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    mine = tmp_path / "mine.py"
    mine.write_text(dedent(MINE))
    with simulator() as server:
        recipe = {
            "name": "file",
            "plugins": ["mine.py"],
            "source": {"inline": ["One?", "Two?", "Three?"]},
            "transforms": ["no_second"],
            "models": {"a": server.model("sim-a"), "b": server.model("sim-b")},
            "judges": {"j": server.model("sim-j")},
            "judge": {"rubric": "digit"},
            "pool": {"judges": "halved"},
            "output": {"formats": ["flat", "raw"]},
        }
        file = folder.recipe("file.yaml", recipe)
        assert "nothing wrong" in folder.run("check", file)
        folder.run("run", file, "--yes", "--strict", "--output", tmp_path / "out")
        calls = server.calls()
        assert calls == 2 * (2 + 2)
        check_halved(tmp_path / "out", 2)
        manifest = json.loads((tmp_path / "out" / "run.json").read_text())
        assert manifest["recipe"]["plugins"].keys() == {"mine.py"}
        folder.run("export", "file", "--format", "flat", "--output", tmp_path / "again")
        assert tables(tmp_path / "again")["flat"] == tables(tmp_path / "out")["flat"]
        mine.write_text(dedent(MINE).replace("/ 2", "/ 4"))
        said = folder.run("export", "file", "--format", "flat", code=2)
        assert f"{mine}: it has changed since the recipe was submitted; run" in said
        assert "Traceback" not in said
        said = folder.run("run", file, "--yes", "--output", tmp_path / "out")
        assert server.calls() == calls, "a changed pool calls nothing"
        check_halved(tmp_path / "out", 4)
        mine.write_text(dedent(MINE).replace('row["best"]}', 'row["id"]}'))
        said = folder.run("run", file, "--yes", "--output", tmp_path / "out", code=1)
        wrong = (
            f"the format flat is not written: {mine}:18: the column 'best' is double, and row '0'"
        )
        assert f"error: {wrong} has string in it" in said
        assert list(outcome(tmp_path / "out")) == ["raw"]
        assert server.calls() == calls
        mine.write_text(dedent(MINE).replace("[1-5]", "[2-5]"))
        folder.run("run", file, "--yes", "--output", tmp_path / "out")
        assert server.calls() == calls + 4, "a changed rubric has the judge asked again"


def check_halved(out: Path, by: int) -> None:
    assert outcome(out)["flat"] == {
        "prompts": 3, "out": 2, "ties": 0, "dropped": {"by-no_second": 1},
        "records": 2, "test": 0,
    }  # fmt: skip
    for row in tables(out)["raw"]:
        (verdict,) = [v["ratings"] for v in row["verdicts"][:1]]
        assert row["scores"][0] == verdict[0] / by

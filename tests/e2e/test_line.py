"""The whole line through the real command, on the simulated server over both wires."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefmill.engines.simulated.quality import quality_of
from prefmill.testing.local_hub import LocalHub

from .command import Folder, line_recipe, simulator, tables

FAULTS = "429=0.03,500=0.02,reset=0.02,truncated=0.01,empty=0.02,malformed=0.15"


def check_ratings(raw: list[dict[str, Any]]) -> int:
    """Every rating equals the quality of the text it stands on; how many there are."""
    rated = 0
    for row in raw:
        for verdict in row["verdicts"]:
            for text, rating, status in zip(
                row["generations"], verdict["ratings"], verdict["statuses"], strict=True
            ):
                if status == "rated":
                    rated += 1
                    assert rating == quality_of(text), (row["id"], verdict["raw"])
    return rated


def check_sums(folder: Path, prompts: int) -> None:
    outcome = json.loads((folder / "run.json").read_text())["outcome"]
    for name, sums in outcome.items():
        total = sums["out"] + sums["ties"] + sum(sums["dropped"].values())
        assert total == sums["prompts"] == prompts, name


def test_a_faulty_world_makes_right_data_and_is_asked_only_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with simulator("--faults", FAULTS, "--retry-after", "50ms") as server:
        recipe = line_recipe(server)
        first = folder.recipe("line.yaml", recipe)
        output = folder.run("run", first, "--yes", "--output", tmp_path / "out")
        assert "raw: 60 prompts = " in output
        made = tables(tmp_path / "out")
        assert check_ratings(made["raw"]) >= 60 * 2 * 2 * 2 * 0.97
        check_sums(tmp_path / "out", 60)

        calls = server.calls()
        folder.run("run", first, "--yes", "--output", tmp_path / "out")
        assert server.calls() == calls, "a second run of the same command calls nothing"
        assert tables(tmp_path / "out") == made

        recipe["judges"]["third"] = server.model("judge-third")
        more = folder.recipe("more.yaml", recipe)
        folder.run("run", more, "--yes", "--output", tmp_path / "more")
        by_model = server.stats()["by_model"]
        assert sum(by_model.values()) - by_model["judge-third"] == calls
        assert by_model["judge-third"] >= 60 * 2
        assert {v["judge"] for r in tables(tmp_path / "more")["raw"] for v in r["verdicts"]} == {
            "oa",
            "an",
            "third",
        }


def test_given_responses_are_judged_and_nothing_is_generated(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    rows = [
        {"instruction": f"Question {n}?", "answers": {"x": f"It is {n}.", "y": f"Never {n}!"}}
        for n in range(20)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with simulator() as server:
        recipe = line_recipe(server) | {
            "source": {
                "jsonl": "rows.jsonl",
                "columns": {"prompt": "instruction", "responses": "answers"},
            }
        }
        del recipe["models"], recipe["generate"]
        folder.run("run", folder.recipe("r.yaml", recipe), "--yes", "--output", tmp_path / "out")
        assert server.stats()["by_kind"] == {"judge": 20 * 2 * 2}
    raw = tables(tmp_path / "out")["raw"]
    assert [row["generations"] for row in raw] == [
        [f"It is {n}.", f"Never {n}!"] for n in range(20)
    ]
    assert check_ratings(raw) == 20 * 2 * 2 * 2


@pytest.mark.slow
def test_the_dataset_opens_with_datasets_by_name_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    folder = Folder(tmp_path)
    recipe = {
        "name": "opens",
        "source": {"inline": ["One?", "Two?", "Three?", "Four?"]},
        "models": {a: {"engine": "simulated", "model": f"sim-{a}"} for a in ("a", "b")},
        "judges": {"j": {"engine": "simulated", "model": "sim-j"}},
        "judge": {"rubric": {"ultrafeedback": ["overall-rating"]}},
        "output": {"formats": ["raw", "trl"], "pairing": {"ties": "keep"}},
    }
    folder.run("run", folder.recipe("r.yaml", recipe), "--yes", "--output", tmp_path / "out")
    cache = str(tmp_path / "cache")
    named = datasets.load_dataset(str(tmp_path / "out"), "raw", split="train", cache_dir=cache)
    unnamed = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=cache)
    assert len(named) == 4
    assert {"prompt", "chosen", "rejected"} <= set(unnamed.column_names)


@pytest.mark.slow
def test_a_wrong_key_stops_the_start_with_a_line_for_every_model_and_nothing_is_spent(
    tmp_path: Path,
) -> None:
    folder = Folder(tmp_path)
    with simulator("--api-key", "another") as server:
        recipe = folder.recipe("r.yaml", line_recipe(server, rows=5))
        output = folder.run("run", recipe, "--yes", code=1)
        why = [line for line in output.splitlines() if "401" in line]
        named = "models.one", "models.two", "models.three", "judges.oa", "judges.an"
        for name, line in zip(named, why, strict=True):
            assert f"{name}: " in line
            key = "ANTHROPIC_API_KEY" if name in ("models.three", "judges.an") else "OPENAI_API_KEY"
            assert f" is not right; is the key in {key} right" in line
        assert server.stats()["by_status"].get("200", 0) == 0


@pytest.mark.slow
def test_other_formats_come_from_stored_verdicts_without_a_call(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with simulator() as server:
        recipe = folder.recipe("r.yaml", line_recipe(server, rows=20))
        folder.run("run", recipe, "--yes", "--output", tmp_path / "out")
        calls = server.calls()
        said = folder.run(
            "export",
            recipe,
            "--format",
            "trl",
            "--pairing",
            "all",
            "--pool",
            "median",
            "--output",
            tmp_path / "pairs",
        )
        assert server.calls() == calls
        assert "is not as revision" not in said
        changed = line_recipe(server, rows=20) | {"output": {"formats": ["sft"]}, "seed": 6}
        folder.recipe("r.yaml", changed)
        said = folder.run("export", recipe, "--output", tmp_path / "stored")
        assert f"{recipe} is not as revision 1 of the run, which is exported (seed: 5 → 6" in said
        assert f", and 1 more); `prefmill run {recipe}` stores the change" in said
        assert "kto" in tables(tmp_path / "stored")
        said = folder.run("export", recipe, "--format", "helpsteer", code=1)
        assert "(20 not-judged)" in said
        assert "no format named 'trll'" in folder.run("export", recipe, "--format=trll", code=2)
        assert "there is not one record to load: no judge of the run was asked for what" in said
        bare = ("export", recipe, "--format=sft", "--output", "bare", "--against", "out")
        assert "none of the formats to be made has them" in folder.run(*bare, code=2)
        assert not (tmp_path / "bare").exists()
    manifest = json.loads((tmp_path / "pairs" / "run.json").read_text())
    assert manifest["output"]["pairing"]["choose"] == "all"
    median = {"median": None}
    assert manifest["pool"] == {"judges": median, "aspects": median, "of": []}


@pytest.mark.slow
def test_a_dataset_is_on_the_hub_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    folder = Folder(tmp_path)
    with LocalHub() as hub, simulator("--latency", "150ms") as server:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        recipe = line_recipe(server, rows=100)
        for judge in recipe["judges"].values():
            judge["concurrency"] = 4
        pushed = {"repo": "me/line", "every": 20}
        recipe["output"] = {"formats": ["raw"], "shard_rows": 10, "test": 0.2, "hub": pushed}
        said = folder.run("run", folder.recipe("r.yaml", recipe), "--yes", "--output", "out")
    repository = hub.repositories["me/line"]
    assert f"the dataset so far is at {hub.address}/datasets/me/line" in said
    assert repository.commits >= 2
    shards = {name for name in repository.files if name.endswith(".parquet")}
    written = {str(path.relative_to(tmp_path / "out")) for path in tmp_path.glob("out/raw/*")}
    assert shards == written
    assert {name.split("/")[1][:4] for name in shards} == {"trai", "test"}
    assert len(tables(tmp_path / "out")["raw"]) == 100
    assert not (tmp_path / "out" / ".line-so-far").exists()

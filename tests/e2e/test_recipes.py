"""Every file under `examples/`, through the real command to the end, on the simulated server.

What is replaced: who is called (the engine stays where it speaks HTTP), and a source on the Hub,
by a folder with a few rows of the same columns.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefmill.engines.simulated.quality import quality_of

from .command import Folder, Simulator, simulator, tables

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))
ROWS = 12
VERDICT = (
    "judge rubric aspect sample order ratings rationales types rationales_for_ratings attributes "
    "statuses raw"
).split()

TASK = ["instruction", "system_prompt", "generations", "generation_models"]
ID, META = ["id"], ["metadata"]
RAW = [*ID, *"instruction messages generations generation_models scores verdicts".split(), *META]
PREFERENCE = [
    *ID,
    *"prompt prompt_id chosen rejected chosen_model rejected_model".split(),
    *"chosen_rating rejected_rating".split(),
    *META,
]
TRL = [*ID, "prompt", "chosen", "rejected", *META]
SINGLE = ["ratings", "rationales", "ultrafeedback_model"]
ATTRIBUTES = ["correctness", "coherence", "complexity", "verbosity", "helpfulness"]

COLUMNS: dict[str, dict[str, list[str]]] = {
    "critique.yaml": {"raw": RAW, "preference": PREFERENCE},
    "helpsteer.yaml": {"raw": RAW, "helpsteer": ["prompt", "response", *ATTRIBUTES]},
    "label.yaml": {
        "raw": RAW,
        "distilabel": [
            *ID,
            *TASK,
            *"poll_ratings poll_rationales poll_models avg_poll_ratings poll_counts".split(),
            *META,
        ],
        "preference": PREFERENCE,
    },
    "openai-and-anthropic.yaml": {
        "raw": RAW,
        "trl": TRL,
        "kto": [*ID, "prompt", "completion", "label", *META],
    },
    "prometheus.yaml": {"raw": RAW},
    "quickstart.yaml": {"raw": RAW, "trl": TRL, "preference": PREFERENCE},
}

SCALES = {"critique": (1, 10), "helpsteer": (0, 4)}
HUB_ROWS: dict[str, Callable[[int], dict[str, Any]]] = {}


def settings(recipe: dict[str, Any], server: Simulator, hub: Path) -> Iterator[str]:
    """`--set` for every model and judge that is not simulated, and for a source on the Hub."""
    for side in ("models", "judges"):
        for alias, spec in recipe.get(side, {}).items():
            if spec["engine"] == "simulated":
                continue
            if spec["engine"] == "vllm":
                yield f"{side}.{alias}=" + json.dumps(
                    server.model(spec["model"], params=spec.get("params", {}))
                )
            else:
                anthropic = spec["engine"] == "anthropic"
                yield f"{side}.{alias}.base_url={server.url}{'' if anthropic else '/v1'}"
    if "hub" in recipe["source"]:
        yield f"source.hub={hub}"
        yield "source.split=train"


def local_hub(folder: Path, name: str) -> None:
    """A dataset with the columns of the original's."""
    if name in HUB_ROWS:
        folder.mkdir()
        rows = [json.dumps(HUB_ROWS[name](number)) + "\n" for number in range(ROWS)]
        (folder / "train.jsonl").write_text("".join(rows))


@dataclass(frozen=True)
class Made:
    """What an example became."""

    name: str
    recipe: dict[str, Any]
    folder: Folder
    out: Path
    server: Simulator

    @property
    def tables(self) -> dict[str, list[dict[str, Any]]]:
        return tables(self.out)

    def asked(self, *more: str) -> tuple[str | Path, ...]:
        """The command's arguments, but for the folder."""
        sets = settings(self.recipe, self.server, self.folder.path / "hub")
        return (
            EXAMPLES / self.name,
            "--yes",
            *(word for setting in (*sets, *more) for word in ("--set", setting)),
        )


@contextmanager
def made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *faults: str, sets: tuple[str, ...]
) -> Iterator[Made]:
    monkeypatch.setenv("HF_TOKEN", "test-key")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = yaml.safe_load((EXAMPLES / name).read_text())
    local_hub(tmp_path / "hub", name)
    with simulator(*faults) as server:
        done = Made(name, recipe, Folder(tmp_path), tmp_path / "out", server)
        done.folder.run("run", *done.asked(*sets), "--output", done.out)
        yield done


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_to_the_end_and_gives_the_columns_its_users_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with made(tmp_path, monkeypatch, name, sets=()) as done:
        calls = done.server.calls()
        done.folder.run("run", *done.asked(), "--output", done.out)
        assert done.server.calls() == calls, "a second run calls nothing"
    check_outcome(done.out, done.tables)
    check_columns(done.out, COLUMNS[name], tmp_path / "cache")
    raw = done.tables["raw"]
    assert sum(check_verdicts(row) for row in raw) >= len(raw)


def check_outcome(out: Path, found: dict[str, list[dict[str, Any]]]) -> None:
    outcome = json.loads((out / "run.json").read_text())["outcome"]
    for config, sums in outcome.items():
        total = sums["out"] + sums["ties"] + sum(sums["dropped"].values())
        assert total == sums["prompts"], config
        assert sums["records"] == len(found.get(config, ())), config
    assert outcome["raw"]["out"] == outcome["raw"]["prompts"] > 0


def check_columns(out: Path, wanted: dict[str, list[str]], cache: Path) -> None:
    import datasets

    assert {path.name for path in out.iterdir() if path.is_dir()} == set(wanted)
    for config, columns in wanted.items():
        opened = datasets.load_dataset(str(out), config, split="train", cache_dir=str(cache))
        assert opened.column_names == columns, config
        assert len(opened) == len(tables(out)[config])
        if config == "raw":
            assert list(opened[0]["verdicts"][0]) == VERDICT


def check_verdicts(row: dict[str, Any]) -> int:
    """Every rating of a row stands on the text it is about; how many there are."""
    rated = 0
    for verdict in row["verdicts"]:
        shown = [i for i, status in enumerate(verdict["statuses"]) if status == "rated"]
        rated += len(shown)
        assert set(shown) <= set(verdict["order"])
        qualities = {i: quality_of(row["generations"][i]) for i in shown}
        if len(shown) == 2 and {verdict["ratings"][i] for i in shown} <= {0.0, 0.5, 1.0}:
            first, second = shown
            difference = qualities[first] - qualities[second]
            won = 0.5 if difference == 0 else float(difference > 0)
            assert verdict["ratings"][first] == won
            continue
        low, high = SCALES.get(verdict["rubric"], (1, 5))
        for i, quality in qualities.items():
            expected = low + math.floor((quality - 1) * (high - low) / 4 + 0.5)
            assert verdict["ratings"][i] == expected, (row["id"], verdict["raw"])
            for attribute in verdict["attributes"][i] or ():
                assert attribute["rating"] == expected
    return rated


@pytest.mark.slow
def test_a_pair_rubric_asks_in_both_orders_and_a_judge_that_goes_by_the_place_makes_ties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path)
    recipe: dict[str, Any] = {
        "name": "pairs",
        "source": {"inline": [f"Question {number}?" for number in range(8)]},
        "models": {a: {"engine": "simulated", "model": f"sim-{a}"} for a in ("a", "b", "c")},
        "judge": {"rubric": "pairwise"},
        "output": {"formats": ["raw", "trl"]},
    }
    with simulator() as server:
        recipe["judges"] = {"j": server.model("judge-pairs")}
        folder.run("run", folder.recipe("r.yaml", recipe), "--yes", "--output", tmp_path / "out")
        assert server.stats()["by_kind"] == {"judge": 8 * 6}
    found = tables(tmp_path / "out")
    check_outcome(tmp_path / "out", found)
    for row in found["raw"]:
        assert check_verdicts(row) == 12
        orders = [tuple(verdict["order"]) for verdict in row["verdicts"]]
        assert sorted(orders) == sorted(
            order for a, b in combinations(range(3), 2) for order in ((a, b), (b, a))
        )
    with first_wins() as url:
        judge = {"engine": "openai", "model": "first", "base_url": url}
        recipe |= {"name": "flips", "judges": {"j": judge}}
        folder.run("run", folder.recipe("f.yaml", recipe), "--yes", "--output", tmp_path / "flips")
    found = tables(tmp_path / "flips")
    assert [row["scores"] for row in found["raw"]] == [[0.5] * 3] * 8
    outcome = json.loads((tmp_path / "flips" / "run.json").read_text())["outcome"]
    assert outcome["trl"]["ties"] == 8


@contextmanager
def first_wins() -> Iterator[str]:
    """A judge on the OpenAI wire that prefers what it is shown first."""
    from .always import always

    with always("The first one convinces.\nVerdict: A") as url:
        yield url


@pytest.mark.slow
def test_a_critique_is_one_call_for_each_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(tmp_path, monkeypatch, "critique.yaml", sets=("source.rows=5",)) as done:
        assert done.server.stats()["by_kind"] == {"answer": 5 * 2, "judge": 5 * 2}
    for row in done.tables["raw"]:
        assert [verdict["order"] for verdict in row["verdicts"]] == [[0], [1]]
        assert all(re.search(r"Overall Score", verdict["raw"]) for verdict in row["verdicts"])

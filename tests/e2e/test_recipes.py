"""Every file under `examples/`, through the real command to the end, on the simulated server.

What is replaced: who is called (the engine stays where it speaks HTTP), and the Hub, by one of this
machine that has a few rows of the same columns, and is pushed to; Argilla likewise.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefmill.engines.simulated.quality import quality_of
from prefmill.plugins.principles import profiles, wordings
from prefmill.testing.local_argilla import LocalArgilla
from prefmill.testing.local_hub import LocalHub, Repository

from .columns import COLUMNS, VERDICT
from .command import Folder, Simulator, simulator, tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))
RATE_LIMITED = [
    "dpo.yaml",
    "jury.yaml",
    "on-policy.yaml",
    "ultrafeedback-distilabel.yaml",
    "ultrafeedback-original.yaml",
]
ROWS = 12
SCALES = {"critique": (1, 10), "helpsteer": (0, 4)}
SOURCES = ("evol_instruct", "false_qa", "flan", "sharegpt", "truthful_qa", "ultrachat")


def instruction_row(number: int) -> dict[str, Any]:
    """As in HuggingFaceH4/instruction-dataset."""
    return {"prompt": f"Explain {number} to a child.", "completion": "…", "meta": {"n": number}}


def ultrafeedback_row(number: int) -> dict[str, Any]:
    """As in openbmb/UltraFeedback, without what the models said."""
    return {
        "source": SOURCES[number % 6],
        "instruction": f"What is said of {number}?",
        "models": [],
        "completions": [],
        "correct_answers": [f"It is {number}."],
        "incorrect_answers": [f"It is {number + 1}."],
    }


HUB_ROWS: dict[str, Callable[[int], dict[str, Any]]] = {
    "ultrafeedback-distilabel.yaml": instruction_row,
    "jury.yaml": instruction_row,
    "dpo.yaml": lambda number: {"instruction": f"Name {number} trees.", "topic": "Botany"},
    "ultrafeedback-original.yaml": ultrafeedback_row,
}


def settings(
    recipe: dict[str, Any], server: Simulator, source: Path | None = None
) -> Iterator[str]:
    """`--set` for every model and judge that is not simulated; a source on the Hub may be replaced
    by a folder."""
    for side in ("models", "judges"):
        for alias, spec in recipe.get(side, {}).items():
            if spec["engine"] == "simulated":
                continue
            if spec["engine"] == "vllm":  # as a server of vLLM would
                yield f"{side}.{alias}={json.dumps(server.model(spec['model']))}"
                continue
            path = "" if spec["engine"] == "anthropic" else "/v1"
            yield f"{side}.{alias}.base_url={server.url}{path}"
    if source and "hub" in recipe["source"]:
        yield f"source.hub={source}"
        yield "source.split=train"


def rows_of(name: str) -> str:
    """JSON lines with the columns of the original's dataset."""
    return "".join(json.dumps(HUB_ROWS[name](number)) + "\n" for number in range(ROWS))


def local_source(folder: Path, name: str) -> None:
    """The rows as a folder that `datasets` opens."""
    if name in HUB_ROWS:
        folder.mkdir()
        (folder / "train.jsonl").write_text(rows_of(name))


def stock(hub: LocalHub, recipe: dict[str, Any], name: str) -> None:
    """The recipe's source is on the Hub, under its own name and split."""
    if name in HUB_ROWS:
        split = recipe["source"].get("split", "train").partition("[")[0]
        files = {f"{split}.jsonl": rows_of(name).encode()}
        hub.repositories[recipe["source"]["hub"]] = Repository(files=files)


@dataclass(frozen=True)
class Made:
    """What an example became."""

    name: str
    recipe: dict[str, Any]
    folder: Folder
    out: Path
    server: Simulator
    hub: LocalHub
    argilla: LocalArgilla

    @property
    def rated(self) -> bool:
        """Whether people can rate something: of comparisons they are asked nothing."""
        rubric = self.recipe["judge"]["rubric"]
        return not (isinstance(rubric, dict) and "relative" in rubric.values())

    @property
    def tables(self) -> dict[str, list[dict[str, Any]]]:
        return tables(self.out)

    def asked(self, *more: str) -> tuple[str | Path, ...]:
        """The command's arguments, but for the folder. It goes to the Hub in any case, and to
        Argilla if people can rate it."""
        sets = [*settings(self.recipe, self.server)]
        if self.rated:
            sets.append(f"output.argilla.url={self.argilla.address}")
        if "hub" not in self.recipe["output"]:
            sets.append(f"output.hub=me/{self.recipe['name']}")
        return (
            EXAMPLES / self.name,
            "--yes",
            *(word for setting in (*sets, *more) for word in ("--set", setting)),
        )


@contextmanager
def made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *faults: str, sets: tuple[str, ...]
) -> Iterator[Made]:
    recipe = yaml.safe_load((EXAMPLES / name).read_text())
    with LocalHub() as hub, LocalArgilla() as argilla, simulator(*faults) as server:
        for key, value in surroundings(hub, argilla, tmp_path).items():
            monkeypatch.setenv(key, value)
        stock(hub, recipe, name)
        done = Made(name, recipe, Folder(tmp_path), tmp_path / "out", server, hub, argilla)
        done.folder.run("run", *done.asked(*sets), "--output", done.out)
        yield done


def surroundings(hub: LocalHub, argilla: LocalArgilla, folder: Path) -> dict[str, str]:
    return {
        "HF_TOKEN": "test-key",
        "GEMINI_API_KEY": "test-key",
        "ARGILLA_API_KEY": argilla.key,
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",
    }


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
    check_pushed(done)
    raw = done.tables["raw"]
    assert sum(check_verdicts(row) for row in raw) >= len(raw)


@pytest.mark.parametrize("name", RATE_LIMITED)
def test_an_example_finishes_where_half_of_all_calls_are_rate_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    faults = ("--faults", "429=0.5", "--retry-after", "20ms")
    with made(tmp_path, monkeypatch, name, *faults, sets=()) as done:
        by_status = done.server.stats()["by_status"]
    assert by_status["429"] > by_status["200"] / 3
    check_outcome(done.out, done.tables)
    verdicts = [verdict for row in done.tables["raw"] for verdict in row["verdicts"]]
    assert all(None not in row["generations"] for row in done.tables["raw"])
    assert (
        sum(map(check_verdicts, done.tables["raw"])) == sum(len(v["order"]) for v in verdicts) > 0
    )
    assert (done.out / "failures.jsonl").read_text() == ""


def test_the_binarizations_of_ultrafeedback_come_from_one_run_without_another_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(tmp_path, monkeypatch, "ultrafeedback-original.yaml", sets=()) as done:
        calls = done.server.calls()
        run = ("export", done.recipe["name"])
        aspects = [word for name in done.recipe["pool"]["of"] for word in ("--of", name)]
        wanted: dict[str, tuple[str, ...]] = {
            "h4": ("--format", "h4", "--of", "overall-score", "--pairing", "best-random"),
            "argilla": ("--format", "preference", *aspects, "--pairing", "best-random"),
            "all": ("--format", "preference", *aspects, "--pairing", "all"),
            "kto": ("--format", "{kto: 3.5}", *aspects),
        }
        for number, (name, options) in enumerate(wanted.items()):
            others = [word for one in [*wanted][:number] for word in ("--against", tmp_path / one)]
            said = done.folder.run(*run, *options, "--output", tmp_path / name, *others)
            assert said.count("they choose no answer alike") == number
        assert done.server.calls() == calls == ROWS * (4 + 4 + 4)
    for name in wanted:
        check_outcome(tmp_path / name, tables(tmp_path / name), raw=False)
    for row in done.tables["ultrafeedback"]:
        check_completions(row)
    assert all(
        record["chosen_rating"] > record["rejected_rating"]
        for record in tables(tmp_path / "all")["preference"]
    )
    assert len(tables(tmp_path / "all")["preference"]) > len(
        tables(tmp_path / "argilla")["preference"]
    )


def test_each_completion_of_ultrafeedback_has_a_principle_of_its_source_and_its_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(tmp_path, monkeypatch, "ultrafeedback-original.yaml", sets=()) as done:
        odds = profiles()[done.recipe["generate"]["principles"]]
    rows, raw = done.tables["ultrafeedback"], done.tables["raw"]
    assert Counter(row["source"] for row in rows) == dict.fromkeys(SOURCES, ROWS // 6)
    for row, everything in zip(rows, raw, strict=True):
        told = [(c["principle"], c["custom_system_prompt"]) for c in row["completions"]]
        both = zip(everything["principles"], everything["principle_prompts"], strict=True)
        assert told == list(both)
        for principle, prompt in told:
            assert odds[row["source"]][principle] > 0
            assert prompt in wordings()[principle]
        assert bool(row["correct_answers"]) == (row["source"] in {"flan", "truthful_qa"})
        assert bool(row["incorrect_answers"]) == (row["source"] == "truthful_qa")


def check_completions(row: dict[str, Any]) -> None:
    assert len(row["completions"]) == len(row["models"]) == 4
    for completion in row["completions"]:
        quality = quality_of(completion["response"])
        said = completion["annotations"].values()
        assert [annotation["Rating"] for annotation in said] == [str(quality)] * 4
        assert completion["fine-grained_score"] == quality
        assert completion["overall_score"] == 1 + math.floor((quality - 1) * 9 / 4 + 0.5)
        assert completion["critique"]


def test_the_average_of_the_jury_is_a_function_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(tmp_path, monkeypatch, "jury.yaml", sets=("source.rows=4",)) as done:
        manifest = json.loads((done.out / "run.json").read_text())
        assert manifest["pool"]["judges"] == {"avg_poll_ratings": None}
        path, sha256 = next(iter(manifest["recipe"]["plugins"].items()))
        assert path == "jury_average.py"
        assert sha256 == hashlib.sha256((EXAMPLES / path).read_bytes()).hexdigest()
        calls = done.server.calls()
        again = ("export", "jury", "--format", "raw", "--pool", "mean", "--output", tmp_path / "m")
        done.folder.run(*again)
        assert done.server.calls() == calls
    scores = [row["scores"] for row in done.tables["raw"]]
    assert scores == [row["scores"] for row in tables(tmp_path / "m")["raw"]]
    assert scores == [row["avg_poll_ratings"] for row in done.tables["distilabel"]]
    ratings = [row["poll_ratings"] for row in done.tables["distilabel"]]
    assert scores == [[sum(each) / 3 for each in zip(*row, strict=True)] for row in ratings]


def test_one_side_of_every_on_policy_pair_is_the_users_own_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(tmp_path, monkeypatch, "on-policy.yaml", sets=()) as done:
        mine = done.recipe["models"]["mine"]["model"]
    pairs = [{row["chosen_model"], row["rejected_model"]} for row in done.tables["preference"]]
    assert pairs
    assert all(mine in pair and len(pair) == 2 for pair in pairs)
    assert len({model for pair in pairs for model in pair}) > 3, "the others take turns"


def check_outcome(out: Path, found: dict[str, list[dict[str, Any]]], *, raw: bool = True) -> None:
    outcome = json.loads((out / "run.json").read_text())["outcome"]
    for config, sums in outcome.items():
        total = sums["out"] + sums["ties"] + sum(sums["dropped"].values())
        assert total == sums["prompts"], config
        assert sums["records"] == len(found.get(config, ())), config
    if raw:
        assert outcome["raw"]["out"] == outcome["raw"]["prompts"] > 0


def check_columns(out: Path, wanted: dict[str, list[str]], cache: Path) -> None:
    import datasets

    assert set(tables(out)) == set(wanted)
    for config, columns in wanted.items():
        opened = datasets.load_dataset(str(out), config, split="train", cache_dir=str(cache))
        assert opened.column_names == columns, config
        assert len(opened) == len(tables(out)[config])
        if config == "raw":
            assert list(opened[0]["verdicts"][0]) == VERDICT


def check_pushed(done: Made) -> None:
    """The Hub has what the folder has, but for the failures; Argilla a record for each row, if
    people can rate them."""
    (name,) = (name for name in done.hub.repositories if name.startswith("me/"))
    pushed = done.hub.repositories[name]
    assert pushed.private
    written = {str(file.relative_to(done.out)): file for file in done.out.rglob("[!.]*.*")}
    shown = {path: file.read_bytes() for path, file in written.items() if path[0] != "."}
    del shown["failures.jsonl"], shown["dropped.jsonl"]
    assert pushed.files == shown
    assert len(done.argilla.datasets) == done.rated
    raw = {row["id"]: row for row in done.tables["raw"]}
    for dataset in done.argilla.datasets.values():
        assert dataset.records.keys() == raw.keys()
        for name, record in dataset.records.items():
            assert len(record["suggestions"]) == ratings_in(raw[name])


def ratings_in(row: dict[str, Any]) -> int:
    """As many as there are suggestions: for each text, aspect, or attribute, and judge."""
    return sum(
        len(verdict["attributes"][place] or [None])
        for verdict in row["verdicts"]
        for place, status in enumerate(verdict["statuses"])
        if status == "rated"
    )


def check_verdicts(row: dict[str, Any]) -> int:
    """Every rating of a row stands on the text it is about; how many there are."""
    rated = 0
    for verdict in row["verdicts"]:
        shown = [i for i, status in enumerate(verdict["statuses"]) if status == "rated"]
        rated += len(shown)
        assert set(shown) <= set(verdict["order"])
        qualities = {i: quality_of(row["generations"][i]) for i in shown}
        if verdict["rubric"] in ("pairwise", "prometheus") and len(verdict["order"]) == 2:
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


def test_a_critique_is_one_call_for_each_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(tmp_path, monkeypatch, "critique.yaml", sets=("source.rows=5",)) as done:
        assert done.server.stats()["by_kind"] == {"answer": 5 * 2, "judge": 5 * 2}
    for row in done.tables["raw"]:
        assert [verdict["order"] for verdict in row["verdicts"]] == [[0], [1]]
        assert all(re.search(r"Overall Score", verdict["raw"]) for verdict in row["verdicts"])

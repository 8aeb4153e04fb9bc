"""`prefmill check` draws the run: golden files, every width, and every example."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.e2e.command import Simulator
from tests.e2e.test_recipes import local_source, settings

from prefmill.cli.commands.check import check
from prefmill.cli.show.tree import Asked, tree_lines
from prefmill.contracts.recipe import Recipe

HERE = Path(__file__).parent
EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))

RECIPE = Recipe.model_validate(
    {
        "name": "everything",
        "source": {
            "hub": "me/prompts",
            "split": "train[:100]",
            "columns": {"prompt": "instruction", "reference": "known_answers"},
        },
        "models": {
            "zephyr": {"engine": "vllm", "model": "HuggingFaceH4/zephyr-7b-beta", "samples": 2},
            "mine": {"lane": "my-model"},
        },
        "transforms": [{"dedup": "prompt"}, {"filter": "length(prompt) < 2000"}],
        "generate": {"sampler": {"sample": 1, "seed": 7}},
        "judges": {
            "gpt4": {"engine": "openai", "model": "gpt-4"},
            "haiku": {"engine": "anthropic", "model": "claude-3-haiku-20240307"},
        },
        "judge": {"rubric": [{"ultrafeedback": ["honesty"]}, "critique"], "quorum": 2},
        "pool": {"judges": {"weighted": {"gpt4": 2, "haiku": 1}}, "of": ["honesty", "overall"]},
        "output": {
            "formats": ["raw", "trl", {"kto": 3.5}],
            "pairing": {"choose": "all", "margin": 0.5, "ties": "keep"},
            "test": 0.05,
            "transforms": [{"keep": ["chosen"]}],
            "hub": {"repo": "me/everything", "private": False, "every": 1000},
            "argilla": "https://argilla.example.org",
        },
    }
)
RUBRICS = (
    Asked("ultrafeedback", ("honesty",), "all"),
    Asked("critique", ("overall-score",), "each"),
    Asked("pairwise", ("preference",), "pairs"),
)


def test_the_parts_of_a_mix_and_what_models_are_told_are_drawn() -> None:
    mix = [{"name": "flan", "jsonl": "flan.jsonl", "rows": 30}, {"name": "qa", "inline": ["Why?"]}]
    changes = {
        "source": {"mix": mix},
        "generate": {"system": "Be brief.", "principles": "ultrafeedback"},
    }
    recipe = Recipe.model_validate(RECIPE.model_dump(exclude_unset=True) | changes)
    drawn = tree_lines(recipe, RUBRICS, 100)
    assert drawn[1:4] == [
        "├─ source   one after another",
        "│  ├─ flan  jsonl flan.jsonl, rows 30",
        "│  └─ qa    inline Why?",
    ]
    assert "├─ told     a system prompt, and a principle of ultrafeedback with each prompt" in drawn


@pytest.mark.parametrize("width", [100, 56])
def test_a_run_is_drawn_as_a_tree(width: int) -> None:
    golden = HERE / "golden" / f"tree-{width}.txt"
    drawn = "\n".join(tree_lines(RECIPE, RUBRICS, width)) + "\n"
    assert drawn == golden.read_text()


def test_a_run_without_judges_draws_none() -> None:
    spec = {"engine": "simulated", "model": "m"}
    small = Recipe.model_validate({"name": "s", "source": {"inline": ["a"]}, "models": {"m": spec}})
    assert tree_lines(small, (), 80) == [
        "s",
        "├─ source   inline a",
        "├─ models   all of them answer every prompt",
        "│  └─ m  simulated m",
        "├─ formats  raw; pairs best-worst",
        "└─ dataset  a folder",
    ]


@given(width=st.integers(1, 200))
def test_lines_fit_the_terminal_and_nothing_is_lost(width: int) -> None:
    lines = tree_lines(RECIPE, RUBRICS, width)
    words = " ".join(line.lstrip("├─└│ ") for line in lines).split()
    whole = " ".join(line.lstrip("├─└│ ") for line in tree_lines(RECIPE, RUBRICS, 10_000)).split()
    assert words == whole
    if width >= 80:
        assert max(map(len, lines)) <= width


@pytest.mark.parametrize("name", NAMES)
def test_check_finds_nothing_wrong_with_an_example(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands there, but for what a machine may lack: a source on the Hub is a folder with
    rows of the same columns, and vLLM stands behind a server. Nothing answers, as nothing is
    called."""
    local_source(tmp_path / "hub", name)
    for key in ("OPENAI", "ANTHROPIC", "GEMINI", "ARGILLA"):
        monkeypatch.setenv(f"{key}_API_KEY", "test-key")
    monkeypatch.setenv("HF_TOKEN", "test-key")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    recipe = yaml.safe_load((EXAMPLES / name).read_text())
    there = settings(recipe, Simulator("http://127.0.0.1:9"), tmp_path / "hub")
    sets = [word for setting in there for word in ("--set", setting)]
    done = CliRunner().invoke(check, [str(EXAMPLES / name), *sets], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert f"{name}: nothing wrong" in done.output
    assert "├─ source   " in done.output
    assert "└─ dataset  a folder" in done.output

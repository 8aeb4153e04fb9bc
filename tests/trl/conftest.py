"""A run's datasets, and a tiny model to train on them. `make test-trl` keeps the libraries from the
network."""

import importlib.util
from pathlib import Path

import pytest

from tests.e2e.command import Folder
from tests.vllm.tiny import make_model

HERE = Path(__file__).parent

TOPICS = ("tides", "bread", "chess", "maps", "bees", "glass")
RECIPE = {
    "name": "train",
    "seed": 3,
    "source": {
        "inline": [
            {"prompt": f"What should a beginner know about {topic}?", "system": "Be brief."}
            for topic in TOPICS
        ]
    },
    "models": {name: {"engine": "simulated", "model": f"sim-{name}"} for name in ("one", "two")},
    "generate": {"params": {"max_tokens": 40}},
    "judges": {"ash": {"engine": "simulated", "model": "judge-ash"}},
    "judge": {"rubric": {"ultrafeedback": ["overall-rating", "helpfulness"]}},
    "output": {
        "formats": ["trl", "kto", "reward", "sft"],
        "pairing": {"ties": "keep"},
    },
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder needs TRL, whose libraries warn at import."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.trl)
            item.add_marker(pytest.mark.timeout(300))
            item.add_marker(pytest.mark.filterwarnings("default"))
            if importlib.util.find_spec("trl") is None:
                item.add_marker(pytest.mark.skip(reason="TRL is not installed: make test-trl"))


@pytest.fixture(scope="session")
def datasets_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`explicit`: the folder with all formats of the recipe; `implicit`: the same run's data with
    the prompt within both sides."""
    folder = Folder(tmp_path_factory.mktemp("run"))
    recipe = folder.recipe("train.yaml", RECIPE)
    places = {"explicit": folder.path / "out", "implicit": folder.path / "implicit"}
    folder.run("run", recipe, "--yes", "--output", places["explicit"])
    implicit = ("--format", "{trl: implicit}", "--output", places["implicit"])
    folder.run("export", recipe, *implicit)
    return places


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model with random weights."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")

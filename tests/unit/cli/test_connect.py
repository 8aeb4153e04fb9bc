"""What is said where no coordinator runs."""

from pathlib import Path

import pytest
import yaml

from prefmill.cli.connect import connect
from prefmill.cli.stop import Stop


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to call in, with the dataset of the run `tides` where `run` writes it."""
    monkeypatch.chdir(tmp_path)
    dataset = tmp_path / "out" / "tides"
    dataset.mkdir(parents=True)
    (dataset / "failures.jsonl").write_text("")
    recipe = {
        "name": "tides",
        "source": {"inline": ["Why?"]},
        "models": {alias: {"engine": "simulated", "model": alias} for alias in "ab"},
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def said(here: Path, about: str = "") -> tuple[str, ...]:
    with pytest.raises(Stop) as stopped:
        connect(None, str(here / "home"), about)
    assert stopped.value.lines[0].startswith(f"error: no coordinator runs in {here}/home; start")
    return stopped.value.lines[1:]


@pytest.mark.parametrize("about", ["tides", "a.yaml"])
def test_a_run_is_said_to_have_its_failures_in_its_dataset(here: Path, about: str) -> None:
    (line,) = said(here, about)
    assert line.endswith(": out/tides/failures.jsonl, run.json")


def test_a_dataset_that_is_elsewhere_is_not_guessed_at(here: Path) -> None:
    (line,) = said(here, "moons")
    assert line.endswith(": failures.jsonl, run.json")
    assert said(here) == ()

"""`prefmill try --row`: rows count from 0, and that is said."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from prefmill.cli.commands.attempt import attempt
from prefmill.cli.stop import Stop

RECIPE = {"name": "r", "models": {"a": {"engine": "simulated", "model": "sim-a"}}}


def tried(folder: Path, prompts: list[str], row: int) -> Result:
    recipe = folder / "r.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE | {"source": {"inline": prompts}}))
    return CliRunner().invoke(attempt, [str(recipe), "--row", str(row)])


def test_parameters_and_the_finish_reason_are_told_in_words(tmp_path: Path) -> None:
    said = tried(tmp_path, ["One?"], 0).output
    assert "parameters: those of the server\n" in said
    assert "\nsim-a, finish reason stop: " in said


def test_the_first_row_is_row_0_and_the_help_says_so(tmp_path: Path) -> None:
    assert "first one?" in tried(tmp_path, ["The first one?", "The second one?"], 0).output
    told = " ".join(CliRunner().invoke(attempt, ["--help"]).output.split())
    assert "they are counted from 0. [default: 0; x>=0]" in told


@pytest.mark.parametrize(
    ("prompts", "rows"),
    [(["One?"], "it has one, row 0"), (["One?", "Two?", "Three?"], "its 3 are rows 0 to 2")],
)
def test_a_row_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, prompts: list[str], rows: str
) -> None:
    stop = tried(tmp_path, prompts, len(prompts)).exception
    assert isinstance(stop, Stop)
    assert stop.code == 2
    assert stop.lines == (f"error: the source has no row {len(prompts)}; {rows}",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--aspect", "honesty"], "name the judge"),
        (["--model", "a", "--judge", "j"], "one at a time"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(options: list[str], said: str) -> None:
    result = CliRunner().invoke(attempt, ["recipe.yaml", *options])
    assert isinstance(result.exception, Stop)
    assert said in str(result.exception)

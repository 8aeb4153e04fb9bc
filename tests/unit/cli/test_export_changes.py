"""What a recipe file has that the stored run does not is told before an export."""

from typing import Any

from prefmill.cli.commands.export import differences
from prefmill.contracts.recipe import Recipe

STORED: dict[str, Any] = {
    "name": "r",
    "source": {"jsonl": "/data/a.jsonl"},
    "models": {alias: {"engine": "simulated", "model": alias} for alias in "ab"},
    "judges": {"j": {"engine": "simulated", "model": "j"}},
    "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    "output": {"formats": ["raw", "trl"]},
}


def stored() -> dict[str, Any]:
    """As a coordinator keeps it."""
    return Recipe.model_validate(STORED).model_dump(mode="json", exclude_unset=True)


def told(away: bool = False, **changes: Any) -> list[str]:
    return differences(stored(), Recipe.model_validate({**STORED, **changes}), away=away)


def test_a_file_that_is_as_it_was_differs_in_nothing() -> None:
    assert told() == told(away=True) == []


def test_what_was_changed_is_told_a_line_each() -> None:
    lines = told(seed=3, output={"formats": ["raw"]})
    assert lines[0].startswith("output.formats: [")
    assert lines[1] == "seed: added"


def test_files_that_went_along_to_another_machine_are_not_compared() -> None:
    changes: dict[str, Any] = {"source": {"jsonl": "/elsewhere/b.jsonl"}, "seed": 3}
    assert len(told(**changes)) == 2
    assert told(away=True, **changes) == ["seed: added"]

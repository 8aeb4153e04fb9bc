"""What an export asks for is refused at once if it cannot be made."""

from typing import Any

import pytest

from prefmill.contracts.api import ExportRequest
from prefmill.contracts.recipe import Recipe
from prefmill.coordinator.domain.asked import check_export
from prefmill.ledger.desired import Desired, DesiredRubric
from prefmill.plugins.errors import RecipeError

RECIPE = Recipe.model_validate(
    {
        "name": "r",
        "source": {"inline": ["hi"]},
        "models": {name: {"engine": "simulated", "model": name} for name in "ab"},
        "judges": {"j": {"engine": "simulated", "model": "j"}},
        "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    }
)
RUBRIC = DesiredRubric(label="ultrafeedback", aspects={"honesty": "aa"}, judges={"j": 3})
DESIRED = Desired(models={"a": 1, "b": 2}, rubrics=(RUBRIC,))


def check(**asked: Any) -> None:
    check_export(RECIPE, DESIRED, ExportRequest.model_validate(asked))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"formats": ["trll"]}, "no format named 'trll'; did you mean 'trl'"),
        ({"formats": [{"kto": "high"}]}, "output.formats.0.kto: "),
        ({"pool": {"judges": "men"}}, "no pool named 'men'"),
        ({"pool": {"of": ["honest"]}}, "pool.of: 'honest' is not judged"),
        ({"output": {"formats": ["nonsuch"]}}, "no format named 'nonsuch'"),
    ],
)
def test_what_is_not_there_is_refused_when_it_is_asked_for(asked: Any, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        check(**asked)


def test_what_is_there_is_taken() -> None:
    check()
    check(formats=["trl", {"kto": 4}], pool={"judges": "median", "of": ["honesty"]})

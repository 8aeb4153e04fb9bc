"""What keeps a run from beginning."""

from typing import Any

import pytest

from prefmill.contracts.recipe import Recipe
from prefmill.coordinator.domain.missing import lacking
from prefmill.coordinator.domain.resolved import ResolvedModel, resolve


def found(rule: str, *gone: str) -> list[str]:
    """What is said of a recipe of two models and a judge, of which some cannot be had."""

    def one(name: str) -> dict[str, Any]:
        return {"engine": "simulated", "model": f"sim-{name}"}

    recipe = Recipe.model_validate(
        {
            "name": "r",
            "source": {"inline": ["x"]},
            "models": {"a": one("a"), "b": one("b")},
            "generate": {"on_unavailable": rule},
            "judges": {"j": one("j")},
            "judge": {"rubric": "ultrafeedback"},
        }
    )

    def missing(model: ResolvedModel) -> str | None:
        return "there is none" if model.alias in gone else None

    return list(lacking(resolve(recipe), missing))


@pytest.mark.parametrize("rule", ["skip", "redraw"])
def test_a_run_that_goes_on_without_a_model_begins_while_another_is_left(rule: str) -> None:
    assert found(rule, "a") == []
    assert found(rule, "a", "b") == ["models.a: there is none", "models.b: there is none"]
    assert found(rule, "a", "j") == ["judges.j: there is none"], "judges are waited for"


def test_a_run_that_waits_does_not_begin_without_one_of_its_models() -> None:
    assert found("wait", "a") == ["models.a: there is none"]
    assert found("wait") == []

"""Recipes that name what is deployed: `models: [zephyr, notus]`. Pure."""

from collections.abc import Mapping
from typing import Any

from prefmill.contracts.recipe import ModelSpec, Recipe
from prefmill.contracts.work import LaneKind
from prefmill.plugins.errors import RecipeError
from prefmill.settings.deployed import Deployed


def expanded(recipe: Recipe, deployed: Deployed) -> Recipe:
    """The recipe with what is deployed in place of its names, so that it stands for itself from
    then on. RecipeError names each one that is not deployed, or is deployed as something else."""
    problems: list[str] = []
    sides: tuple[tuple[str, LaneKind, Mapping[str, ModelSpec]], ...] = (
        ("models", "generate", recipe.models),
        ("judges", "judge", recipe.judges),
    )
    update: dict[str, Any] = {}
    for where, kind, specs in sides:
        if not any(spec.lane for spec in specs.values()):
            continue
        update[where] = {}
        for alias, spec in specs.items():
            try:
                update[where][alias] = _filled(spec, kind, f"{where}.{alias}.lane", deployed)
            except RecipeError as error:
                problems.extend(error.problems)
    if problems:
        raise RecipeError(*problems)
    return recipe.model_copy(update=update) if update else recipe


def _filled(spec: ModelSpec, kind: LaneKind, where: str, deployed: Deployed) -> ModelSpec:
    """Engine and options are the deployed ones; parameters, samples and price may be the
    recipe's own."""
    if spec.lane is None:
        return spec
    found = deployed.spec(kind, spec.lane, where)
    if spec.engine and (spec.engine, spec.options()) != (found.engine, found.options()):
        raise RecipeError(
            f"{where}: {spec.lane!r} is deployed with another engine or other options; "
            "leave them out here, or leave `lane` out"
        )
    mine = spec.model_dump(exclude_unset=True)
    merged = found.model_dump(exclude_unset=True) | mine
    return ModelSpec.model_validate(
        merged | {"params": spec.params.over(found.params).model_dump(exclude_unset=True)}
    )

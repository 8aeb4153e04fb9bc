"""What is wrong with a recipe, found where plugins are imported: in the process that services are
forked from, before any is."""

from typing import Any

from prefmill.cli.stack.devices import find_devices


def check(recipe: dict[str, Any]) -> tuple[list[str], bool]:
    """The problems of a recipe's plugins, and what the environment lacks for them: found here,
    where plugins are imported, since services inherit both. And whether it has models that need
    devices."""
    from prefmill.contracts.recipe import Recipe
    from prefmill.contracts.workers import needs_devices
    from prefmill.coordinator.domain.missing import lacking
    from prefmill.coordinator.domain.resolved import resolve
    from prefmill.plugins.destination import unready
    from prefmill.plugins.errors import RecipeError

    try:
        resolved = resolve(Recipe.model_validate(recipe))
    except RecipeError as error:
        return list(error.problems), False
    devices = any(needs_devices(m.lane) for m in (*resolved.models, *resolved.judges))
    return [*lacking(resolved, _lacking), *unready(resolved.recipe.output)], devices


def _lacking(model: Any) -> str | None:
    """What this machine lacks for a resolved model."""
    from prefmill.contracts.workers import needs_devices

    missing = model.engine.missing()
    if missing or not needs_devices(model.lane):
        return missing
    return find_devices().problem(model.lane.options["gpus"])

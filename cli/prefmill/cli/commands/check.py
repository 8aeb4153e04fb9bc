"""`prefmill check`: what a recipe would do, without doing it."""

import shlex
from pathlib import Path

import click

from prefmill.cli.agree import show_plan
from prefmill.cli.recipes.load import LoadedRecipe
from prefmill.cli.recipes.problems import loaded, recipe_errors
from prefmill.contracts.api import RunPlan


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--rows", type=click.IntRange(1), help="Only the first so many prompts.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Over the recipe's.")
def check(recipe: Path, rows: int | None, settings: tuple[str, ...]) -> None:
    """Validate RECIPE and estimate its calls, tokens and cost. Starts nothing, calls nothing."""
    ready = loaded(recipe, settings, rows)
    show_plan(plan_of(ready), ready)
    words = ["prefmill", "run", str(recipe), *([f"--rows={rows}"] if rows else [])]
    words += [word for setting in settings for word in ("--set", setting)]
    click.echo(f"{recipe}: nothing wrong; run it with: {shlex.join(words)}")


def plan_of(recipe: LoadedRecipe) -> RunPlan:
    """The plan of a recipe, as if nothing were stored. Stop with every problem."""
    from prefmill.coordinator.domain.estimate import estimate
    from prefmill.coordinator.domain.resolved import resolve

    with recipe_errors(recipe):
        resolved = resolve(recipe.recipe)
        return estimate(resolved, resolved.prompts())

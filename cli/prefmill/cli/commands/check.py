"""`prefmill check`: what a recipe would do, without doing it."""

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prefmill.cli.agree import show_plan
from prefmill.cli.recipes.load import LoadedRecipe
from prefmill.cli.recipes.problems import loaded, recipe_errors
from prefmill.cli.show.tree import Asked, tree_lines
from prefmill.contracts.api import RunPlan

if TYPE_CHECKING:
    from prefmill.coordinator.domain.resolved import Resolved


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--rows", type=click.IntRange(1), help="Only the first so many prompts.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Over the recipe's.")
def check(recipe: Path, rows: int | None, settings: tuple[str, ...]) -> None:
    """Validate RECIPE and estimate its calls, tokens and cost. Starts nothing, calls nothing.

    The estimate is that of a first run: `prefmill run` takes off what is stored, and asks.
    """
    ready = loaded(recipe, settings, rows)
    resolved = _resolved(ready)
    plan = _plan(ready, resolved)
    for line in tree_lines(ready.recipe, _asked(resolved), shutil.get_terminal_size().columns):
        click.echo(line)
    click.echo()
    show_plan(plan, ready)
    words = ["prefmill", "run", str(recipe), *([f"--rows={rows}"] if rows else [])]
    words += [word for setting in settings for word in ("--set", setting)]
    click.echo(f"{recipe}: nothing wrong; run it with: {shlex.join(words)}")


def _resolved(recipe: LoadedRecipe) -> "Resolved":
    """What it names, found and checked. Stop with every problem."""
    from prefmill.coordinator.domain.resolved import resolve

    with recipe_errors(recipe):
        return resolve(recipe.recipe)


def _plan(recipe: LoadedRecipe, resolved: "Resolved") -> RunPlan:
    """The plan of a recipe, as if nothing were stored. Stop with every problem."""
    from prefmill.coordinator.domain.estimate import estimate
    from prefmill.plugins.destination import unready
    from prefmill.plugins.errors import RecipeError

    with recipe_errors(recipe):
        plan = estimate(resolved, resolved.prompts())
        if lacks := list(unready(resolved.recipe.output)):
            raise RecipeError(*lacks)
    return plan


def _asked(resolved: "Resolved") -> list[Asked]:
    return [
        Asked(made.label, [made.names.get(a, a) for a in made.rubric.aspects], made.shows)
        for made in resolved.rubrics
    ]

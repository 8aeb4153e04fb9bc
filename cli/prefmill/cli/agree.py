"""Before anything is spent: the plan is shown, and a person agrees to what costs money."""

import sys

import click

from prefmill.cli.recipes.load import LoadedRecipe
from prefmill.cli.recipes.problems import stop_for
from prefmill.cli.show.plan import beyond_cap, cost_of, paid_calls, plan_lines
from prefmill.cli.stop import WRONG, Stop
from prefmill.contracts.api import RunPlan, RunStatus
from prefmill.contracts.money import dollars
from prefmill.plugins.errors import RecipeError


def show_plan(plan: RunPlan, recipe: LoadedRecipe, before: RunStatus | None = None) -> None:
    """Print the plan of a run that was as `before`. Stop if something stands in its way: a missing
    key, an empty source."""
    if plan.problems:
        raise stop_for(recipe.placed(RecipeError(*plan.problems)))
    for line in plan_lines(plan):
        click.echo(line)
    spent = before.cost_usd if before else 0.0
    warnings = *plan.warnings, *beyond_cap(plan, recipe.recipe.limits.cost_usd, spent)
    for warning in recipe.placed(RecipeError(*warnings)):
        click.echo(f"  ! {warning}")


def agree(plan: RunPlan, recipe: LoadedRecipe, *, yes: bool) -> None:
    """Ask before paid calls. Stop if nobody can be asked and there is no cost cap, or if the
    answer is no."""
    calls = paid_calls(plan)
    if not calls or yes:
        return
    cap = recipe.recipe.limits.cost_usd
    ask = f"{calls:,} calls of paid models, {cost_of(plan)}"
    if not sys.stdin.isatty():
        if cap is None:
            raise Stop(
                WRONG,
                f"error: this makes {ask}, and nobody is there to ask: say --yes, or set a cap "
                "with --set limits.cost_usd=…",
            )
        return
    limit = f" (stops at {dollars(cap)})" if cap else ""
    if not click.confirm(f"{ask}{limit}. Go on?"):
        raise Stop(WRONG, "nothing was called")

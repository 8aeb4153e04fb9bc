"""`prefmill try`: one row through one model or judge, in this process, everything shown."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prefmill.cli.recipes.problems import loaded, recipe_errors
from prefmill.cli.stop import FAILED, WRONG, Stop
from prefmill.contracts.rows import Prompt
from prefmill.plugins.registry import nearest

if TYPE_CHECKING:
    from prefmill.cli.trial import Trial
    from prefmill.coordinator.domain.resolved import Resolved, ResolvedModel


@click.command(name="try")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--model", help="Alias of a model; the first if neither is named.")
@click.option("--judge", help="Alias of a judge.")
@click.option("--aspect", help="What is judged; the rubric's first if none.")
@click.option(
    "--row",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Which row of the source; they are counted from 0.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Over the recipe's.")
def attempt(
    recipe: Path,
    model: str | None,
    judge: str | None,
    aspect: str | None,
    row: int,
    settings: tuple[str, ...],
) -> None:
    """Send one row of RECIPE through one model or judge: prompt, raw answer, verdict, tokens, cost.

    Without its key, the prompt alone is shown. No server is started, nothing is stored.
    """
    from prefmill.cli.trial import Trial
    from prefmill.coordinator.domain.resolved import resolve

    if aspect and not judge:
        raise Stop(WRONG, "error: --aspect says what a judge is asked; name the judge: --judge")
    if model and judge:
        raise Stop(WRONG, "error: one at a time: say --model or --judge")
    ready = loaded(recipe, settings)
    with recipe_errors(ready):
        resolved = resolve(ready.recipe)
        prompt = _row(resolved, row)
    trial = Trial(resolved, row, prompt, click.echo)
    if not asyncio.run(_one(trial, resolved, model, judge, aspect)):
        raise Stop(FAILED)


async def _one(
    trial: "Trial", resolved: "Resolved", model: str | None, judge: str | None, aspect: str | None
) -> bool:
    if judge is None and (model or resolved.models):
        return await trial.generate(_named("model", resolved.models, model))
    return await trial.judge(*_asked(resolved, judge, aspect))


def _row(resolved: "Resolved", row: int) -> Prompt:
    prompt = next(iter(resolved.prompts(row)), None)
    if prompt is None:
        raise Stop(WRONG, f"error: the source has no row {row}; {_which(resolved)}")
    if prompt.failure:
        reason, detail = prompt.failure.reason, prompt.failure.detail
        raise Stop(FAILED, f"row {prompt.id} cannot be used: {reason}: {detail}")
    return prompt


def _which(resolved: "Resolved") -> str:
    rows = sum(1 for _ in resolved.prompts())
    return f"its {rows:,} are rows 0 to {rows - 1}" if rows > 1 else "it has one, row 0"


def _named(kind: str, models: tuple["ResolvedModel", ...], alias: str | None) -> "ResolvedModel":
    known = {model.alias: model for model in reversed(models)}
    if not known:
        raise Stop(WRONG, f"error: the recipe has no {kind}")
    if alias is not None and alias not in known:
        raise Stop(WRONG, f"error: the recipe has no {kind} {alias!r}{nearest(alias, known)}")
    return known[alias] if alias is not None else models[0]


def _asked(
    resolved: "Resolved", alias: str | None, aspect: str | None
) -> tuple["ResolvedModel", str]:
    """The judge with the rubric that has the aspect, and the aspect by the rubric's own name."""
    judge = _named("judge", resolved.judges, alias)
    same = [one for one in resolved.judges if one.alias == judge.alias]
    known = {
        made.names.get(own, own): (one, own)
        for one in same
        if (made := one.rubric)
        for own in made.rubric.aspects
    }
    if aspect is not None and aspect not in known:
        raise Stop(WRONG, f"error: the rubric has no aspect {aspect!r}{nearest(aspect, known)}")
    return known[aspect] if aspect is not None else next(iter(known.values()))

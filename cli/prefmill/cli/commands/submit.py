"""`prefmill submit`: a recipe for a coordinator that runs already."""

from pathlib import Path

import click

from prefmill.cli.agree import agree, show_plan
from prefmill.cli.connect import connect, coordinator_options
from prefmill.cli.follow import conclude, follow
from prefmill.cli.recipes.problems import loaded, recipe_errors
from prefmill.contracts.api import RunRequest


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--output", help="Folder of the dataset, on the sink's machine.")
@click.option("--rows", type=click.IntRange(1), help="Only the first so many prompts.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Over the recipe's.")
@click.option("--yes", is_flag=True, help="Do not ask before paid calls.")
@click.option("--fresh", is_flag=True, help="Start over; reuse nothing stored.")
@click.option("--watch", is_flag=True, help="Follow it until it ends.")
@coordinator_options
def submit(
    recipe: Path,
    output: str | None,
    rows: int | None,
    settings: tuple[str, ...],
    yes: bool,
    fresh: bool,
    watch: bool,
    api: str | None,
    home: str | None,
) -> None:
    """Hand RECIPE to a coordinator. Files that it names must be there on the coordinator's side."""
    ready = loaded(recipe, settings, rows)
    client = connect(api, home)
    folder = str(Path(output).absolute()) if output and not api else output
    request = RunRequest(recipe=ready.recipe, fresh=fresh, directory=folder)
    with recipe_errors(ready):
        plan = client.plan(request)
        show_plan(plan, ready)
        agree(plan, ready, yes=yes)
        status = client.submit(request)
    if watch:
        conclude(follow(client, status), strict=False)
    else:
        click.echo(f"run {status.id}, {status.name}; follow it with: prefmill watch {status.name}")

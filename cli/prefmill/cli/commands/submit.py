"""`prefmill submit`: a recipe for a coordinator that runs already."""

from pathlib import Path

import click

from prefmill.cli.agree import agree, show_plan
from prefmill.cli.connect import connect, coordinator_options
from prefmill.cli.fetching import with_dataset
from prefmill.cli.follow import conclude, follow
from prefmill.cli.places import is_store, refuse_foreign
from prefmill.cli.recipes.problems import loaded, recipe_errors
from prefmill.cli.sending import sent
from prefmill.cli.show.lines import hint
from prefmill.contracts.api import RunRequest


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--output", help="Folder of the dataset.  [./out/NAME]")
@click.option("--rows", type=click.IntRange(1), help="Only the first so many prompts.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Over the recipe's.")
@click.option("--yes", is_flag=True, help="Do not ask before paid calls.")
@click.option("--fresh", is_flag=True, help="Start over; reuse nothing stored.")
@click.option("--watch", is_flag=True, help="Follow it to its dataset.")
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
    """Hand RECIPE to a coordinator: to one elsewhere (--api) with the files that it names.

    With --watch, the dataset of one elsewhere is fetched to the output folder at the end.
    """
    ready = loaded(recipe, settings, rows)
    folder = Path(output or Path("out") / ready.recipe.name).absolute()
    fetches = bool(api and watch and not is_store(output))
    if fetches:
        refuse_foreign(folder)
    client = connect(api, home)
    with recipe_errors(ready):
        known = sent(ready.recipe, client, click.echo) if api else ready.recipe
        directory = output if is_store(output) else None if api else output and str(folder)
        request = RunRequest(recipe=known, fresh=fresh, directory=directory)
        plan = client.plan(request)
        before = None if fresh else client.named(known.name)
        show_plan(plan, ready, before)
        agree(plan, ready, yes=yes)
        status = client.submit(request)
    if watch:
        ended = follow(client, status)
        ended = with_dataset(client, ended, folder) if fetches else ended
        conclude(ended, before, strict=False)
    else:
        click.echo(f"run {status.id}, {status.name}; {hint(status.name, api)}")

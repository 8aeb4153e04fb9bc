"""`prefmill export`: datasets from stored verdicts, without a call."""

from pathlib import Path
from typing import Any, cast

import click
from pydantic import ValidationError

from prefmill.cli.client import Client, Missing
from prefmill.cli.connect import connect, coordinator_options, find, live, recipe_at
from prefmill.cli.fetching import fetched
from prefmill.cli.follow import Tend, show_export, tend_nothing, wait_for_export
from prefmill.cli.places import is_store, refuse_foreign
from prefmill.cli.recipes.problems import stop_for
from prefmill.cli.show.outcome import nothing_made
from prefmill.cli.stop import FAILED, WRONG, Stop
from prefmill.contracts.api import ExportRequest, RunStatus, StoredRecipe
from prefmill.contracts.recipe import Recipe
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import explain

Named = dict[str, Any]


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--format", "formats", multiple=True, help="For example trl; several are possible.")
@click.option(
    "--pool",
    help="Over aspects and over judges: a pool, or what a recipe says: '{judges: bradley-terry}'.",
)
@click.option(
    "--of",
    "aspects",
    multiple=True,
    metavar="ASPECT",
    help="Aspect that makes the score, pooled by --pool, else by the mean; several are possible.",
)
@click.option(
    "--pairing", type=click.Choice(["best-worst", "best-random", "all"]), help="Who is paired."
)
@click.option("--margin", type=click.FloatRange(0), help="Least difference between the scores.")
@click.option("--ties", type=click.Choice(["drop", "keep"]), help="What becomes of equal scores.")
@click.option(
    "--against",
    multiple=True,
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Dataset made before: say how often it prefers another answer; several are possible.",
)
@click.option("--output", help="Folder of the dataset.  [./out/RUN-export]")
@coordinator_options
def export(
    name: str,
    formats: tuple[str, ...],
    pool: str | None,
    aspects: tuple[str, ...],
    pairing: str | None,
    margin: float | None,
    ties: str | None,
    against: tuple[Path, ...],
    output: str | None,
    api: str | None,
    home: str | None,
) -> None:
    """Make datasets of RUN (a name, an id, or a recipe) from what is stored, also while it runs.

    What is not asked for is as the run's recipe says, as it was stored; a file that has changed
    since is told.
    """
    # Without an address, and with nothing running here, the stack is started for it. That comes
    # before anything is imported.
    from prefmill.cli.commands.run import stopping

    changes = {"choose": pairing, "margin": margin, "ties": ties}
    pairs = {key: value for key, value in changes.items() if value is not None}
    _comparable(against, output)
    if output and not is_store(output):
        refuse_foreign(Path(output).absolute())
    asked = _Asked(name, formats, _pool(pool, aspects), pairs, output, against, away=bool(api))
    client = connect(api, home) if api else live(home)
    if client:
        asked.make(client, tend_nothing)
        return
    from prefmill.cli.stack.local import Stack

    stack = Stack()
    with stopping(stack, again=True):
        _need_home(home)
        stack.launch(home)
        asked.make(stack.serve(), stack.tend)


class _Asked:
    """What is asked for, to be made by whichever coordinator there is."""

    def __init__(
        self,
        name: str,
        formats: tuple[str, ...],
        pool: dict[str, Any] | None,
        pairing: dict[str, Any],
        output: str | None,
        against: tuple[Path, ...],
        *,
        away: bool,
    ) -> None:
        self.away = away
        self.name, self.formats, self.pool = name, formats, pool
        self.pairing, self.output, self.against = pairing, output, against

    def make(self, client: Client, tend: Tend) -> None:
        """Ask for it, wait, show it."""
        run = find(client, self.name)
        request = self.request()
        if stored := _stored(client, run):
            self._check(stored, request)
        folder = Path(self.output or f"out/{run.name}-export").absolute()
        store = self.output if is_store(self.output) else None
        if not store:
            refuse_foreign(folder)
        try:
            where = store or (None if self.away else str(folder))
            made = client.export(run.id, request.model_copy(update={"directory": where}))
        except RecipeError as error:
            raise stop_for(list(error.problems)) from error
        made = wait_for_export(client, run, made, tend)
        made = fetched(client, run.id, made, folder) if self.away else made
        show_export(made)
        if nothing_made(made):
            raise Stop(FAILED)
        if self.against:
            from prefmill.cli.comparing import report

            for line in report(folder, self.against):
                click.echo(line)

    def _check(self, stored: StoredRecipe, request: ExportRequest) -> None:
        """Stop if what is made could not be compared; tell of a file that has changed."""
        if line := self._changed(stored):
            click.echo(line)
        if self.against:
            from prefmill.cli.comparing import refuse_incomparable

            refuse_incomparable(stored.recipe, request.formats)

    def _changed(self, stored: StoredRecipe) -> str:
        """What is told of a recipe file that is not as the run has it: the file is not exported."""
        recipe = recipe_at(self.name)
        if recipe is None:
            return ""
        lines = differences(stored.recipe, recipe, away=self.away)
        if not lines:
            return ""
        more = f", and {len(lines) - 1} more" if len(lines) > 1 else ""
        command = f"prefmill {'submit' if self.away else 'run'} {self.name}"
        return (
            f"{self.name} is not as revision {stored.revision} of the run, which is exported "
            f"({lines[0]}{more}); `{command}` stores the change"
        )

    def request(self) -> ExportRequest:
        """The request; a format may bring options as YAML: `{kto: null, threshold: 4}`."""
        values: dict[str, Any] = {}
        if self.formats:
            values["formats"] = [_spec(format_) for format_ in self.formats]
        if self.pool:
            values["pool"] = self.pool
        if self.pairing:
            values["pairing"] = self.pairing
        try:
            return ExportRequest.model_validate(values)
        except ValidationError as error:
            raise stop_for(explain(error, ExportRequest, "")) from error


def _stored(client: Client, run: RunStatus) -> StoredRecipe | None:
    """The run's recipe; None from a coordinator of an older version."""
    try:
        return client.recipe(run.id)
    except Missing:
        return None


def _comparable(against: tuple[Path, ...], output: str | None) -> None:
    """Stop before anything is made where it could not be compared."""
    if against and output and is_store(output):
        raise Stop(WRONG, "error: --against compares folders; name one with --output")
    for folder in against:
        from prefmill.cli.comparing import datasets_in

        datasets_in(folder)


def differences(stored: dict[str, Any], recipe: Recipe, *, away: bool) -> list[str]:
    """What a recipe would change of a stored one, a line each. What went to a coordinator elsewhere
    along with it is not compared: it bears other names there."""
    from prefmill.coordinator.domain.changes import changes

    written = Recipe.model_validate(_dumped(recipe))
    lines = changes(stored, _dumped(written))
    sent = ("source.", "judge.rubric")
    return [line for line in lines if not (away and line.startswith(sent))]


def _dumped(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude_unset=True)


def _pool(pool: str | None, aspects: tuple[str, ...]) -> dict[str, Any] | None:
    """The pool step asked for; None for the recipe's."""
    if pool is None and not aspects:
        return None
    said = _spec(pool or "mean")
    given: Named = cast("Named", said) if isinstance(said, dict) else {}
    both: Named = {"judges": said, "aspects": said}
    step = both if both.keys().isdisjoint(given) else given
    return {**step, "of": list(aspects)} if aspects else step


def _spec(text: str) -> Any:
    import yaml

    from prefmill.plugins.shallow import read_yaml

    try:
        return read_yaml(text)
    except yaml.YAMLError as error:
        raise Stop(WRONG, f"error: {text!r} is not YAML; quote it") from error


def _need_home(home: str | None) -> None:
    from prefmill.cli.embedded.home import Home

    path = Home(home).path
    if not (path / "VERSION").exists():
        raise Stop(
            WRONG,
            f"error: nothing has run in {path}; name its home with --home, or a coordinator with "
            "--api",
        )

"""`prefmill run`: from prompts to a dataset, on this machine."""

import importlib
import os
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from prefmill.cli.places import is_store, refuse_foreign
from prefmill.cli.stack.local import DRAIN_S, Stack
from prefmill.cli.stop import INTERRUPTED, WRONG, Stop

if TYPE_CHECKING:
    from prefmill.cli.recipes.load import LoadedRecipe


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--output", help="Folder of the dataset, or s3://BUCKET/PREFIX.  [./out/NAME]")
@click.option("--rows", type=click.IntRange(1), help="Only the first so many prompts.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Over the recipe's.")
@click.option("--yes", is_flag=True, help="Do not ask before paid calls.")
@click.option("--fresh", is_flag=True, help="Start over; reuse nothing stored.")
@click.option("--strict", is_flag=True, help="Exit with 3 if any row failed.")
@click.option("--home", envvar="PREFMILL_HOME", help="Where everything is kept.  [./.prefmill]")
def run(
    recipe: Path,
    output: str | None,
    rows: int | None,
    settings: tuple[str, ...],
    yes: bool,
    fresh: bool,
    strict: bool,
    home: str | None,
) -> None:
    """Run RECIPE on this machine: real NATS and Postgres, live progress, a dataset at the end.

    Run it again, and it goes on where it was; a changed recipe calls only what differs.
    """
    from prefmill.cli.recipes.problems import loaded

    ready = loaded(recipe, settings, rows)
    folder = str(output) if is_store(output) else _folder(output, ready.recipe.name)
    stack = Stack()  # only now: it inherits what was imported for the recipe
    with stopping(stack, again=True):
        # The servers start while the services are imported.
        stack.launch(home, concurrency=ready.recipe.limits.concurrency)
        _import_the_rest()
        check_plugins(stack, ready)
        _run(stack, ready, folder, yes=yes, fresh=fresh, strict=strict)


def _import_the_rest() -> None:
    """What is needed when the services answer, while they are imported themselves."""
    for name in ("agree", "client", "follow"):
        importlib.import_module(f"prefmill.cli.{name}")


def _run(
    stack: Stack, recipe: "LoadedRecipe", folder: str, *, yes: bool, fresh: bool, strict: bool
) -> None:
    from prefmill.cli.agree import agree, show_plan
    from prefmill.cli.follow import conclude, follow
    from prefmill.cli.recipes.problems import recipe_errors
    from prefmill.contracts.api import RunRequest

    client = stack.serve()
    request = RunRequest(recipe=recipe.recipe, fresh=fresh, directory=folder)
    with recipe_errors(recipe):
        plan = client.plan(request)
        before = None if fresh else client.named(recipe.recipe.name)
        show_plan(plan, recipe, before)
        agree(plan, recipe, yes=yes)
        status = client.submit(request)
    conclude(follow(client, status, stack.tend, stack.rest), before, strict=strict)


def check_plugins(stack: Stack, recipe: "LoadedRecipe") -> None:
    """Stop if a plugin refuses its options."""
    from prefmill.cli.recipes.problems import stop_for
    from prefmill.plugins.errors import RecipeError

    problems = stack.check(recipe.recipe.model_dump(mode="json", exclude_unset=True))
    if problems:
        raise stop_for(recipe.placed(RecipeError(*problems)))


def _folder(output: str | None, name: str) -> str:
    """What cannot be written at the end is better said at the start."""
    folder = Path(output or Path("out") / name).absolute()
    refuse_foreign(folder)
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise Stop(WRONG, f"error: {there} cannot be written to; name a folder with --output")
    return str(folder)


class stopping:  # noqa: N801 - reads as a statement: `with stopping(stack)`
    """Stops the stack whatever happens: cleanly once, at once when interrupted again."""

    def __init__(self, stack: Stack, *, again: bool) -> None:
        self._stack = stack
        self._again = again

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        if interrupted:
            click.echo(
                f"\nstopping; calls in flight have {DRAIN_S:g} s (Ctrl-C again ends at once)",
                err=True,
            )
        try:
            self._stack.stop()
        except KeyboardInterrupt:
            self._stack.kill()
            interrupted = True
        except Stop:
            self._stack.kill()
            if kind is None:
                raise
        if interrupted:
            self._say_goodbye()

    def _say_goodbye(self) -> NoReturn:
        lines = ["stopped; what was answered is stored"]
        if self._again:
            words = [word for word in sys.argv[1:] if word != "--fresh"]
            lines[0] += f". Go on with: {shlex.join(['prefmill', *words])}"
        raise Stop(INTERRUPTED, *lines)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

"""Which coordinator a command talks to: the one named, else the one that runs in the home."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefmill.cli.client import Client
from prefmill.cli.embedded.home import Home
from prefmill.cli.stop import FAILED, WRONG, Stop
from prefmill.contracts.api import RunStatus
from prefmill.plugins.registry import nearest

if TYPE_CHECKING:
    from prefmill.contracts.recipe import Recipe

Command = Callable[..., Any]


def coordinator_options(command: Command) -> Command:
    """`--api` and `--home`, for commands that talk to a coordinator."""
    home = click.option("--home", envvar="PREFMILL_HOME", help="Folder of a local stack.")
    api = click.option(
        "--api", envvar="PREFMILL_API", help="Address of a coordinator (token: PREFMILL_TOKEN)."
    )
    return home(api(command))


def connect(api: str | None, home: str | None, about: str = "") -> Client:
    """The coordinator at `api`, or the live one of the home. Stop if there is none, or none yet;
    it says where to read of the run `about` without one."""
    if api:
        return Client(api, os.environ.get("PREFMILL_TOKEN"))
    client = live(home)
    if client is None:
        raise Stop(FAILED, *_nobody(Home(home), about))
    return client


def _nobody(home: Home, about: str) -> Iterator[str]:
    if who := home.held_by():
        yield (
            f"error: prefmill is starting in {home.path}, or about to end ({who}): its coordinator "
            "does not answer; ask again in a moment"
        )
        return
    yield (
        f"error: no coordinator runs in {home.path}; start one with `prefmill up`, or name one "
        "with --api"
    )
    if about:
        yield _dataset_of(about)


def _dataset_of(wanted: str) -> str:
    """What the dataset of a run tells, and where that is, if it is where `run` writes it."""
    recipe = recipe_at(wanted)
    folder = Path("out") / (recipe.name if recipe else wanted)
    where = f"{folder}/" if (folder / "failures.jsonl").exists() else ""
    return f"  its last dataset says what failed, and how it ended: {where}failures.jsonl, run.json"


def live(home: str | None) -> Client | None:
    """The coordinator of a `run` or `up` that is going on in this home."""
    try:
        public = json.loads((Home(home).path / "api.json").read_text())
        client = Client(public["url"], public["token"])
    except (OSError, ValueError, KeyError):
        return None
    return client if client.ready() else None


def find(client: Client, wanted: str) -> RunStatus:
    """The run of that name or id, or of that recipe."""
    known = client.runs()
    recipe = recipe_at(wanted)
    name = recipe.name if recipe else wanted
    for run in known:
        if name == run.name or wanted == str(run.id):
            return run
    raise Stop(WRONG, f"error: no run named {name!r}{nearest(name, [run.name for run in known])}")


def recipe_at(wanted: str) -> "Recipe | None":
    """The recipe, where a file is named and not a run. Stop if it is none."""
    path = Path(wanted)
    if path.suffix not in (".yaml", ".yml") or not path.exists():
        return None
    from prefmill.cli.recipes.problems import loaded

    return loaded(path).recipe

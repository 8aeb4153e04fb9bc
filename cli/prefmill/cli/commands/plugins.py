"""`prefmill plugins`: what is installed."""

import inspect

import click

from prefmill.cli.show.numbers import table
from prefmill.cli.stop import FAILED, Stop
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import GROUPS, installed, load


@click.command()
@click.argument("name", required=False)
def plugins(name: str | None) -> None:
    """List the installed plugins by group; with NAME, the options of the plugins of that name."""
    broken = 0
    for group in GROUPS:
        rows: list[list[str]] = []
        for known, point in sorted(installed(group).items()):
            if name in (None, known):
                state, failed = _state(group, known)
                broken += failed
                rows.append([known, point.dist.name if point.dist else "", state])
        if rows:
            for line in table((f"{group}:", "from", ""), rows, left=3):
                click.echo(line)
            for row in rows if name else ():
                _options(group, row[0])
            click.echo()
    if broken:
        raise Stop(FAILED, "error: some plugins cannot be used, see above")


def _state(group: str, name: str) -> tuple[str, bool]:
    try:
        plugin = load(group, name)
    except RecipeError as error:
        return f"! {error}", True
    lines = (inspect.getdoc(plugin) or "").splitlines()
    return (lines[0] if lines else ""), False


def _options(group: str, name: str) -> None:
    try:
        fields = load(group, name).Options.model_fields
    except RecipeError:
        return
    rows = [[f"  {key}", field.description or ""] for key, field in fields.items()]
    for line in table(("  option", "meaning"), rows, left=2):
        click.echo(line)

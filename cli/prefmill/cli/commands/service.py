"""`prefmill service`: one service in this process, as containers start it."""

import importlib

import click

SERVICES = ("coordinator", "generator", "judge", "sink")


@click.command()
@click.argument("name", type=click.Choice(SERVICES))
def service(name: str) -> None:
    """Run one service until SIGTERM. Its settings are PREFMILL_… variables."""
    from pydantic import ValidationError

    from prefmill.cli.stop import WRONG, Stop

    app = importlib.import_module(f"prefmill.{name}.app")
    settings = importlib.import_module(f"prefmill.{name}.settings")
    try:
        made = getattr(settings, f"{name.title()}Settings")()
    except ValidationError as error:
        found = error.errors(include_url=False)
        variables = (f"PREFMILL_{'_'.join(map(str, each['loc'])).upper()}" for each in found)
        lines = (f"error: {v}: {each['msg']}" for v, each in zip(variables, found, strict=True))
        raise Stop(WRONG, *lines) from error
    app.main(made)

"""`prefmill up`: the stack with its HTTP API, until Ctrl-C."""

import os
import time

import click

from prefmill.cli.commands.run import stopping
from prefmill.cli.stack.local import Stack


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8400, help="Of the HTTP API.")
@click.option("--concurrency", type=click.IntRange(1), help="Calls in flight, all workers.")
@click.option("--home", envvar="PREFMILL_HOME", help="Where everything is kept.  [./.prefmill]")
def up(port: int, concurrency: int | None, home: str | None) -> None:
    """Start NATS, Postgres and the services here, with the HTTP API, until Ctrl-C.

    The API's bearer token is PREFMILL_TOKEN, or a random one that commands of this home find.
    """
    stack = Stack()
    with stopping(stack, again=False):
        stack.launch(home, concurrency=concurrency)
        token = os.environ.get("PREFMILL_TOKEN")
        client = stack.serve(port=port, token=token, going_on=True)
        click.echo(f"the coordinator answers at {client.url} (its pages: {client.url}/docs)")
        click.echo(f"token and address are in {stack.home / 'api.json'}")
        click.echo("hand it a recipe with: prefmill submit RECIPE; Ctrl-C stops everything")
        while True:
            time.sleep(0.5)
            stack.tend(click.echo)

"""The command line: which commands there are, and what their ends mean to the shell."""

import gc
import importlib
import sys
from typing import Final, NoReturn

import click

from prefmill.cli.embedded.errors import EmbeddedError
from prefmill.cli.stop import FAILED, INTERRUPTED, WRONG, Stop

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("run:run", "Run a recipe on this machine, from prompts to dataset."),
    "check": ("check:check", "Validate a recipe and estimate its calls and cost; call nothing."),
    "try": ("attempt:attempt", "Send one row through one model or judge, and show everything."),
    "simulate": ("simulate:simulate", "Serve the simulated engine over HTTP, both wire formats."),
    "up": ("up:up", "Start the stack on this machine, with its HTTP API, until Ctrl-C."),
    "submit": ("submit:submit", "Hand a recipe to a running coordinator."),
    "runs": ("runs:runs", "List the runs."),
    "status": ("runs:status", "Show how far a run is."),
    "watch": ("runs:watch", "Follow a run until it ends."),
    "pause": ("runs:pause", "Stop sending out calls of a run."),
    "resume": ("runs:resume", "Go on with a paused run."),
    "cancel": ("runs:cancel", "End a run; what is stored stays."),
    "retry": ("runs:retry", "Open the failed cells of a run again."),
    "export": ("export:export", "Make datasets from stored verdicts, without a call."),
    "failures": ("runs:failures", "List the rows of a run that failed, and why."),
    "workers": ("runs:workers", "List the live generators and judges, and their lanes."),
    "service": ("service:service", "Run one service, as containers start it."),
    "deploy": ("deploy:deploy", "Add a model or judge to an overlay for Kubernetes."),
    "plugins": ("plugins:plugins", "List the installed plugins."),
    "schema": ("schema:schema", "Print, write or check the JSON Schemas."),
}
"""Name → where it is (below `prefmill.cli.commands`), and its line of help."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        package = "prefmill.cli" if cmd_name == "simulate" else "prefmill.cli.commands"
        return getattr(importlib.import_module(f"{package}.{module}"), name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; an unknown command names the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "; see prefmill --help"
            raise click.UsageError(f"no command named {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of help, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"prefmill {version('prefmill')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Which."
)
def prefmill() -> None:
    """Prompts in, preference data out.

    Exit codes: 0 finished; 1 the run failed or a limit stopped it; 2 wrong usage or recipe;
    3 rows failed, with --strict; 130 interrupted.
    """


def main() -> NoReturn:
    """Run the command and exit with its code."""
    gc.set_threshold(50_000, 20, 20)  # what is imported stays; a tenth of the start goes into it
    sys.exit(_run())


def _run() -> int:
    try:
        prefmill.main(prog_name="prefmill", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return WRONG
    except Stop as stop:
        for line in stop.lines:
            click.echo(line, err=True)
        return stop.code
    except EmbeddedError as error:
        click.echo(f"error: {error}", err=True)
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    return 0

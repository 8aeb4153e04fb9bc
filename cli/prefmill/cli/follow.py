"""Follows a run until it ends and its dataset is written."""

import time
from collections.abc import Callable
from typing import Final

import click

from prefmill.cli.client import Client, NoAnswer
from prefmill.cli.screen import Screen, screen
from prefmill.cli.show.lines import with_reason
from prefmill.cli.show.outcome import export_lines, nothing_made, run_lines, transforms_failed
from prefmill.cli.show.pace import called, closed
from prefmill.cli.stop import FAILED, ROWS_FAILED, Stop
from prefmill.contracts.api import ExportStatus, RunStatus

EVERY_S: Final = 0.25
SELDOM_S: Final = 1.0
"""Each look costs the coordinator some milliseconds: in a long run it is taken less often."""

NEARLY: Final = 2_000
"""Calls left: the end may be near, and then the memory of workers is wanted for the dataset."""

PATIENCE_S: Final = 60.0
"""How long a coordinator that does not answer is waited for: it may be starting again."""

Tend = Callable[[Callable[[str], None]], None]


def tend_nothing(_say: Callable[[str], None]) -> None:
    """For stacks that somebody else tends."""


def follow(
    client: Client,
    status: RunStatus,
    tend: Tend = tend_nothing,
    rest: Callable[[bool], None] = lambda _: None,
) -> RunStatus:
    """Show progress until the run has ended and its export is made; the last status. `rest` is told
    whether nothing is left but the export."""
    began = time.monotonic()
    with screen() as shown:
        while True:
            shown.show(status)
            if ended(status):
                return status
            rest(status.state == "finished")
            time.sleep(pause_s(status, time.monotonic() - began))
            tend(shown.say)
            status = _look(client, status, shown, tend)


def pause_s(status: RunStatus, elapsed: float) -> float:
    """Seconds until the next look."""
    left = sum(max(0, slot.wanted - closed(slot)) for slot in called(status))
    if left < NEARLY:
        return EVERY_S
    return min(SELDOM_S, max(EVERY_S, elapsed / 10))


def ended(status: RunStatus) -> bool:
    """Whether nothing more will happen of itself."""
    if status.state == "finished":
        return bool(status.exports) and status.exports[0].state in ("written", "failed")
    return status.state in ("failed", "cancelled")


def conclude(status: RunStatus, before: RunStatus | None = None, *, strict: bool) -> None:
    """Print how it ended, and what was paid since it was as `before`. Stop with the exit code of a
    run that did not go well."""
    if status.state != "finished":
        why = with_reason(f"{status.name}: {status.state}", status.reason or "by request")
        again = "what was answered is stored; once that is put right, the same command goes on"
        lines = [again, f"prefmill export {status.name} makes a dataset of it as it is"]
        lines = lines if status.state == "failed" else []
        raise Stop(FAILED, *why, *lines)
    export = status.exports[0]
    for line in run_lines(status, before):
        click.echo(line)
    show_export(export)
    broken = status.rows_failed or transforms_failed(export)
    if strict and (broken or any(slot.failed for slot in status.slots)):
        raise Stop(ROWS_FAILED, "some rows failed (--strict)")
    if export.outcome and nothing_made(export):
        raise Stop(FAILED)  # it was said


def show_export(export: ExportStatus) -> None:
    """Print what an export made, and one record of it. Stop if it failed, or a format did."""
    if export.state == "failed":
        raise Stop(FAILED, f"error: the dataset could not be written: {export.error}")
    for line in export_lines(export):
        click.echo(line)
    if said := nothing_made(export):
        click.echo(said, err=True)
    if export.error:
        raise Stop(FAILED, f"error: {export.error}")


def wait_for_export(
    client: Client, run: RunStatus, export: ExportStatus, tend: Tend = tend_nothing
) -> ExportStatus:
    """The export once it is made."""
    while export.state not in ("written", "failed"):
        time.sleep(EVERY_S)
        tend(click.echo)
        export = client.export_status(run.id, export.id)
    return export


def _look(client: Client, last: RunStatus, shown: Screen, tend: Tend) -> RunStatus:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.status(last.id)
        except NoAnswer:
            if time.monotonic() > deadline:
                raise
            time.sleep(EVERY_S)
            tend(shown.say)

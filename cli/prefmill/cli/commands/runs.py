"""Commands about runs that a coordinator knows."""

from collections.abc import Iterator
from pathlib import Path

import click

from prefmill.cli.client import Client, Unreachable
from prefmill.cli.connect import connect, coordinator_options, find
from prefmill.cli.fetching import with_dataset
from prefmill.cli.follow import conclude, follow
from prefmill.cli.places import refuse_foreign
from prefmill.cli.show.lines import ACTIVE, done_to, hint, not_asked, prompts_of
from prefmill.cli.show.numbers import count, plural, table
from prefmill.cli.show.outcome import sum_line, transforms_failed
from prefmill.cli.show.pace import closed
from prefmill.cli.stop import Stop
from prefmill.contracts.api import RowStatus, RunStatus, SlotStatus
from prefmill.contracts.money import dollars
from prefmill.contracts.reasons import OUTPUT_TRANSFORM_FAILED
from prefmill.contracts.standing import trouble

RUN = click.argument("name", metavar="RUN")


@click.command()
@coordinator_options
def runs(api: str | None, home: str | None) -> None:
    """List all runs, newest first."""
    known = connect(api, home).runs()
    headers = ("run", "state", "id", "revision", "prompts", "done", "cost")
    for line in table(headers, [_overview(run) for run in known], left=2):
        click.echo(line)


@click.command()
@RUN
@coordinator_options
def status(name: str, api: str | None, home: str | None) -> None:
    """Show how far RUN (a name, an id, or a recipe) is."""
    for line in status_lines(find(connect(api, home, about=name), name)):
        click.echo(line)


@click.command()
@RUN
@click.option("--strict", is_flag=True, help="Exit with 3 if any row failed.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder to fetch the dataset to.")
@coordinator_options
def watch(name: str, strict: bool, output: Path | None, api: str | None, home: str | None) -> None:
    """Follow RUN until it ends; with --output, fetch its dataset then."""
    if output:
        refuse_foreign(output.absolute())
    client = connect(api, home)
    ended = follow(client, find(client, name))
    ended = with_dataset(client, ended, output.absolute()) if output else ended
    conclude(ended, strict=strict)


@click.command()
@RUN
@coordinator_options
def pause(name: str, api: str | None, home: str | None) -> None:
    """Send out no more calls of RUN; those in flight are finished."""
    _act(name, "pause", api, home)


@click.command()
@RUN
@coordinator_options
def resume(name: str, api: str | None, home: str | None) -> None:
    """Go on with RUN."""
    _act(name, "resume", api, home)


@click.command()
@RUN
@coordinator_options
def cancel(name: str, api: str | None, home: str | None) -> None:
    """End RUN; what is stored stays, and can be exported."""
    _act(name, "cancel", api, home)


@click.command()
@RUN
@coordinator_options
def retry(name: str, api: str | None, home: str | None) -> None:
    """Try the failed answers and verdicts of RUN again."""
    _act(name, "retry", api, home)


@click.command()
@RUN
@coordinator_options
def failures(name: str, api: str | None, home: str | None) -> None:
    """List the rows of RUN that failed, with the reason; after pooling, those of its dataset."""
    client = connect(api, home, about=name)
    run = find(client, name)
    found = [line for row in client.failed_rows(run.id) for line in _failed(row)]
    found += _failed_after(client, run)
    headers = ("row", "where", "reason", "what happened")
    for line in table(headers, found, left=4) if found else ["nothing failed"]:
        click.echo(line)


@click.command()
@coordinator_options
def workers(api: str | None, home: str | None) -> None:
    """List the live generators and judges, and the lanes they serve."""
    rows = [
        [worker.worker, lane.slug, lane.health, f"{lane.busy}/{lane.slots}", lane.detail]
        for worker in connect(api, home).workers()
        for lane in worker.lanes or ()
    ]
    for line in table(("worker", "lane", "health", "busy", ""), rows, left=5):
        click.echo(line)


def status_lines(run: RunStatus) -> list[str]:
    """A run, a line per model and judge, its dataset, and the newest one made otherwise."""
    causes = [] if run.state in ACTIVE else run.reason.splitlines()
    why = f" ({causes.pop()})" if len(causes) == 1 else ""
    lines = [f"{run.name}: {run.state}{why} · {prompts_of(run)} · {dollars(run.cost_usd)}"]
    lines += [f"  {cause}" for cause in causes]
    headers = ("", "model", "done", "failed", "reused", "in flight", "read", "written", "cost")
    lines += table(headers, [_slot(slot) for slot in run.slots], left=2)
    lines += [f"  {slot.alias}: {said}" for slot in run.slots if (said := trouble(slot))]
    lines += [f"  {slot.alias}: {said}" for slot in run.slots if (said := not_asked(slot))]
    own = [export for export in run.exports if export.own]
    others = [export for export in run.exports if not export.own]
    for export in (*own[:1], *others[:1]):
        told = filter(None, (export.directory, export.error))
        what = "dataset" if export.own else "another dataset"
        lines.append(f"{what} {export.state}: {'; '.join(told)}")
        lines += [f"  {sum_line(config, sums)}" for config, sums in export.outcome.items()]
    return lines


def _act(name: str, action: str, api: str | None, home: str | None) -> None:
    client = connect(api, home)
    before = find(client, name)
    after = client.act(before.id, action)
    click.echo(done_to(action, before, after))
    if action in ("resume", "retry"):
        click.echo(hint(after.name, api))


def _overview(run: RunStatus) -> list[str]:
    done = sum(closed(slot) for slot in run.slots)
    wanted = sum(max(slot.wanted, closed(slot)) for slot in run.slots)
    return [
        run.name,
        run.state,
        str(run.id),
        str(run.revision),
        f"{run.rows:,}",
        f"{done:,}/{wanted:,}",
        dollars(run.cost_usd),
    ]


def _slot(slot: SlotStatus) -> list[str]:
    return [
        slot.alias,
        slot.model,
        f"{closed(slot):,}/{max(slot.wanted, closed(slot)):,}",
        f"{slot.failed:,}",
        f"{slot.reused:,}",
        f"{slot.in_flight:,}",
        count(slot.input_tokens),
        count(slot.output_tokens),
        dollars(slot.cost_usd),
    ]


def _failed_after(client: Client, run: RunStatus) -> Iterator[list[str]]:
    """Prompts on which a transform after pooling failed: the dataset has them, not the ledger."""
    made = (e for e in run.exports if e.state == "written" and not e.so_far)
    newest = next(made, None)
    count = transforms_failed(newest) if newest else 0
    if not newest or not count:
        return
    where, reason = "after pooling", OUTPUT_TRANSFORM_FAILED
    try:
        lines = list(client.export_failures(run.id, newest.id))
    except (Stop, Unreachable):  # in an object store, for example
        yield [plural(count, "prompt"), where, reason, f"see {newest.directory}/failures.jsonl"]
    else:
        failed = (told for told in lines if told["reason"] == reason)
        yield from ([told["id"], where, reason, told["detail"]] for told in failed)


def _failed(row: RowStatus) -> list[list[str]]:
    if row.failure:
        return [[row.id, "the prompt", row.failure, row.detail]]
    return [
        [row.id, f"{cell.slot} {cell.aspect}".strip(), cell.failure, cell.detail]
        for cell in row.cells
        if cell.failure
    ]

"""Progress as a table that stays in place, for terminals."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from prefmill.cli.show.lines import prompts_of, trouble_of
from prefmill.cli.show.numbers import count, rate, seconds
from prefmill.cli.show.pace import Pace, called, closed
from prefmill.contracts.api import RunStatus, SlotStatus
from prefmill.contracts.money import dollars


def picture(status: RunStatus, pace: Pace, elapsed: float) -> RenderableType:
    """The whole picture of a run at this moment; `elapsed` in seconds."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("", "model"):
        table.add_column(header, no_wrap=True, overflow="ellipsis")
    for header in ("done", "failed", "per s", "tokens", "cost", "left"):
        table.add_column(header, justify="right", no_wrap=True)
    for slot in called(status):
        table.add_row(*_cells(slot, pace), style="red" if _ill(slot) else None)
    notes = [Text(f"  {slot.alias}: {said}", style="yellow") for slot, said in _troubles(status)]
    return Group(Text(_headline(status, pace, elapsed), style="bold"), table, *notes)


def _cells(slot: SlotStatus, pace: Pace) -> list[str]:
    done = closed(slot)
    return [
        slot.alias,
        slot.model,
        f"{slot.done:,}/{max(slot.wanted, done):,}",
        f"{slot.failed:,}" if slot.failed else "",
        rate(pace.rate(slot)),
        f"{count(slot.input_tokens)} + {count(slot.output_tokens)}",
        dollars(slot.cost_usd),
        "" if done >= slot.wanted else seconds(pace.left(slot)),
    ]


def _headline(status: RunStatus, pace: Pace, elapsed: float) -> str:
    left = pace.left_in_all(status)
    end = f" · about {seconds(left)} left" if left else ""
    rows = prompts_of(status)
    spent = dollars(status.cost_usd)
    writing = [export for export in status.exports if export.state == "writing"]
    state = f"writing the dataset, {writing[0].rows:,} rows" if writing else status.state
    return f"{status.name}: {state} · {rows} · {seconds(elapsed)} · {spent}{end}"


def _troubles(status: RunStatus) -> list[tuple[SlotStatus, str]]:
    found = [(slot, trouble_of(slot, status)) for slot in called(status)]
    return [(slot, said) for slot, said in found if said]


def _ill(slot: SlotStatus) -> bool:
    return slot.health == "unusable" and slot.waiting > 0

"""Where progress is shown: a table that stays in place on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

import click

from prefmill.cli.show.lines import milestones, progress
from prefmill.cli.show.pace import Pace
from prefmill.contracts.api import RunStatus

EVERY_S = 5.0
"""Between two plain lines."""


class Screen(Protocol):
    """Shows a run while it goes on."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, status: RunStatus) -> None:
        """A new look at the run."""
        ...

    def say(self, line: str) -> None:
        """Something that happened."""
        ...


def screen() -> Screen:
    """The one that fits stdout."""
    return LiveScreen() if sys.stdout.isatty() else PlainScreen()


class PlainScreen:
    """A line at each milestone, and every few seconds."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._began = self._told = time.monotonic()
        self._last: RunStatus | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left on the screen."""

    def show(self, status: RunStatus) -> None:
        """Milestones at once, the rest now and then."""
        now = time.monotonic()
        self._pace.add(now, status)
        for line in milestones(self._last, status):
            self.say(line)
        self._last = status
        if status.state in ("probing", "running") and now - self._told >= EVERY_S:
            self._told = now
            self.say(progress(status, self._pace, now - self._began))

    def say(self, line: str) -> None:
        """A line."""
        click.echo(line)


class LiveScreen:
    """The table of rich, drawn anew with every look; what happens scrolls by above it."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live: Any = Live(auto_refresh=False, transient=False)
        self._pace = Pace()
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, status: RunStatus) -> None:
        """Draw it."""
        from prefmill.cli.show.live import picture

        now = time.monotonic()
        self._pace.add(now, status)
        self._live.update(picture(status, self._pace, now - self._began), refresh=True)

    def say(self, line: str) -> None:
        """Above the table."""
        self._live.console.print(line, markup=False, highlight=False)

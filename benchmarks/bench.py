"""The measurements of the table, one function each, and how they become its lines."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import profile
from benchmarks.llm import FakeLLM
from benchmarks.profile import Profile
from benchmarks.reference import reference_ms
from benchmarks.runs import Measured, RunFailed, measure
from benchmarks.sides import Workplace
from benchmarks.table import Figure

LATENCY_S: Final = 0.5
LIMIT: Final = 256
CALLS_A_ROW: Final = 3
POSSIBLE: Final = LIMIT / LATENCY_S / CALLS_A_ROW
"""Rows a second with LIMIT calls in flight all the time."""
START_ROWS: Final = 20
PARTS: Final = ("start", "throughput", "latency", "memory", "profile")


@dataclass(frozen=True)
class Plan:
    """What is measured, and over how many rows."""

    parts: tuple[str, ...] = PARTS
    rows: int = 20_000
    by_hand_rows: int = 3_000
    """The script's rate does not depend on their number; 20,000 would take it minutes."""
    bare_rows: int = 6_000
    """Long enough for a rate, short enough to belong to the same minutes."""
    latency_rows: int = 3_000
    memory_rows: tuple[int, ...] = (1_000, 100_000)
    profile_s: int = 10
    repeats: int = 3
    by_hand: bool = True


@dataclass
class Results:
    """Every run, under a name such as `throughput prefmill`."""

    runs: dict[str, list[Measured]] = field(default_factory=dict[str, list[Measured]])
    profiles: list[Profile] = field(default_factory=list[Profile])
    failed: list[str] = field(default_factory=list[str])
    """Parts of which a run failed."""
    load: float = 0.0
    """The machine's load average before the first run; it should be near 0."""
    reference: list[float] = field(default_factory=list[float])
    """CPU ms of the reference work, before the first run and after the last."""

    def value(self, name: str, read: Callable[[Measured], float]) -> float | None:
        """The median of a figure over the runs of a name; None if there are none."""
        runs = self.runs.get(name)
        return median(read(run) for run in runs) if runs else None


class Bench:
    """Runs a plan, one run after the other: two at once would share the cores."""

    def __init__(self, plan: Plan, folder: Path, llm: FakeLLM) -> None:
        self.plan = plan
        self.place = Workplace(folder, llm)
        self.llm = llm
        self.results = Results(load=os.getloadavg()[0])

    def run(self) -> Results:
        """All parts of the plan; one that fails does not keep the others from being measured."""
        say(f"load average before the first run: {self.results.load:.2f}")
        self.results.reference.append(reference_ms())
        self._keep("warm-up", measure(self.llm, self.place.prefmill(START_ROWS), START_ROWS))
        for part in self.plan.parts:
            try:
                getattr(self, part)()
            except RunFailed as error:
                self.results.failed.append(part)
                say(f"error: {error}")
        self.results.reference.append(reference_ms())
        return self.results

    def start(self) -> None:
        """Seconds from the command to the first call: in a new home, and in a used one."""
        used = self.place.folder / "used-home"
        for _ in range(self.plan.repeats):
            self._keep("start", measure(self.llm, self.place.prefmill(START_ROWS), START_ROWS))
            if self.plan.by_hand:
                command = self.place.by_hand(START_ROWS)
                self._keep("start by hand", measure(self.llm, command, START_ROWS))
        measure(self.llm, self.place.prefmill(START_ROWS, home=used), START_ROWS)
        for _ in range(self.plan.repeats):
            command = self.place.prefmill(START_ROWS, home=used)
            self._keep("start again", measure(self.llm, command, START_ROWS))

    def throughput(self) -> None:
        """No latency: what the machinery itself costs. aiohttp alone right before and right after
        it tells how fast the machine is in these minutes."""
        rows = self.plan.rows
        self._throughput_bare(self.plan.bare_rows)
        self._keep("throughput", measure(self.llm, self.place.prefmill(rows), rows))
        self._throughput_bare(self.plan.bare_rows)
        if self.plan.by_hand:
            self._throughput_by_hand(self.plan.by_hand_rows)

    def _throughput_bare(self, rows: int) -> None:
        command = self.place.bare(rows)
        self._keep("throughput bare", measure(self.llm, command, rows))

    def _throughput_by_hand(self, rows: int) -> None:
        for processes in (1, 2):
            command = self.place.by_hand(rows, processes=processes)
            self._keep(f"throughput by hand {processes}", measure(self.llm, command, rows))
        command = self.place.by_hand(rows, aiohttp=True)
        self._keep("throughput by hand, aiohttp", measure(self.llm, command, rows))

    def latency(self) -> None:
        """Half a second a call: whether the limit is always used up."""
        rows = self.plan.latency_rows
        command = self.place.prefmill(rows, limit=LIMIT)
        self._keep("latency", measure(self.llm, command, rows, latency=LATENCY_S))
        if self.plan.by_hand:
            command = self.place.by_hand(self.plan.by_hand_rows)
            run = measure(self.llm, command, self.plan.by_hand_rows, latency=LATENCY_S)
            self._keep("latency by hand", run)

    def memory(self) -> None:
        """PSS of all processes, in runs of their own: looking costs CPU."""
        for rows in self.plan.memory_rows:
            command = self.place.prefmill(rows)
            self._keep(f"memory {rows}", measure(self.llm, command, rows, memory=True))
        few = min(self.plan.memory_rows)
        if self.plan.by_hand:
            command = self.place.by_hand(few)
            self._keep(f"memory by hand {few}", measure(self.llm, command, few, memory=True))

    def profile(self) -> None:
        """A run that is looked into, and ended when enough was seen."""
        command = self.place.prefmill(2 * self.plan.rows)
        self.results.profiles = profile.record(self.llm, command, self.plan.profile_s)

    def _keep(self, name: str, run: Measured) -> None:
        self.results.runs.setdefault(name, []).append(run)
        say(
            f"{name}: {run.rows:,} rows, first call after {run.to_first_call_s:.2f} s, "
            f"{run.rows_per_s:,.0f} rows/s, {run.cpu_ms_per_row:.2f} ms CPU a row, "
            f"{run.whole_s:.1f} s in all"
        )


def lines(results: Results, plan: Plan) -> list[Figure]:
    """The table's lines, for what was measured."""

    def share(run: Measured) -> float:
        return 100 * run.rows_per_s / POSSIBLE

    def first_call(run: Measured) -> float:
        return run.to_first_call_s

    value = results.value
    found = [
        Figure(
            f"rows/s, latency 0, {plan.rows:,} rows",
            value("throughput", lambda run: run.rows_per_s),
            value("throughput by hand 1", lambda run: run.rows_per_s),
            value("throughput by hand 2", lambda run: run.rows_per_s),
            *(1500, 2500),
            more_is_better=True,
            bare=value("throughput bare", lambda run: run.rows_per_s),
            must_to_bare=0.62,
        ),
        Figure(
            "CPU ms a row, without the LLM server",
            value("throughput", lambda run: run.cpu_ms_per_row),
            value("throughput by hand 1", lambda run: run.cpu_ms_per_row),
            value("throughput by hand 2", lambda run: run.cpu_ms_per_row),
            *(1.0, 0.7),
            places=2,
            bare=value("throughput bare", lambda run: run.cpu_ms_per_row),
            must_to_bare=1.54,
        ),
        Figure(
            f"% of possible, latency 500 ms, {plan.latency_rows:,} rows",
            value("latency", share),
            value("latency by hand", share),
            None,
            *(95, 97),
            more_is_better=True,
            places=1,
        ),
        Figure(
            "seconds to the first call, new home",
            value("start", first_call),
            value("start by hand", first_call),
            None,
            *(3, 1.5),
            places=2,
        ),
        Figure("seconds to the first call, used home", value("start again", first_call), places=2),
        *_memory_lines(results, plan),
    ]
    return [line for line in found if line.prefmill is not None]


def _memory_lines(results: Results, plan: Plan) -> list[Figure]:
    def peak(run: Measured) -> float:
        return run.memory.peak

    peaks = [
        Figure(
            f"memory, peak PSS in MB, {rows:,} rows",
            results.value(f"memory {rows}", peak),
            results.value(f"memory by hand {rows}", peak),
            None,
            *(600, 400),
        )
        for rows in plan.memory_rows
    ]
    most = max(plan.memory_rows)
    growth = results.value(f"memory {most}", lambda run: run.memory.growth)
    name = f"its growth at {most:,} rows, last third ÷ middle third"
    return [*peaks, Figure(name, growth, must=1.1, places=2)]


def say(line: str) -> None:
    """Progress; the table alone goes to stdout."""
    print(line, file=sys.stderr, flush=True)

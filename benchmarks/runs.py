"""One run of one side, watched from its start to its end."""

import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import processes
from benchmarks.llm import ROOT, Asked, FakeLLM

SAMPLE_S: Final = 0.5
_UNUSUAL: Final = ("PYTHONDONTWRITEBYTECODE", "OPENAI_BASE_URL", "PREFMILL_HOME")
PATIENCE_S: Final = 600.0
"""A run that takes longer is ended and has failed."""


class RunFailed(Exception):
    """The measured command did not do its work; what it printed last is in the message."""


@dataclass(frozen=True)
class Command:
    """What is started: its arguments, where, and what its log is called."""

    arguments: list[str]
    folder: Path
    log: Path


@dataclass
class Memory:
    """PSS of all processes in MB, every SAMPLE_S seconds."""

    totals: list[float] = field(default_factory=list[float])
    peak_by_role: dict[str, float] = field(default_factory=dict[str, float])

    def take(self, pid: int) -> None:
        """One more sample."""
        used = processes.memory_by_role(processes.tree(pid))
        if sum(used.values()) > self.peak:
            self.peak_by_role = used
        self.totals.append(sum(used.values()))

    @property
    def peak(self) -> float:
        """The largest sample, MB; 0 without one."""
        return max(self.totals, default=0.0)

    @property
    def median(self) -> float:
        """The middle sample, MB; 0 without one."""
        return median(self.totals) if self.totals else 0.0

    @property
    def growth(self) -> float:
        """Peak of the last third over peak of the middle third: 1 is flat."""
        third = len(self.totals) // 3
        return max(self.totals[-third:]) / max(self.totals[third:-third]) if third else 1.0


@dataclass
class Measured:
    """One run. CPU in seconds by role; without the LLM server's everywhere."""

    rows: int
    asked: Asked
    to_first_call_s: float
    whole_s: float
    """From the command to its end, the dataset included."""
    start_cpu: dict[str, float]
    """Spent before the first call."""
    cpu: dict[str, float]
    """Spent between the first call and the last verdict."""
    whole_cpu_s: float
    """Spent from the command to its end."""
    memory: Memory

    @property
    def calls_s(self) -> float:
        """Seconds from the first call to the last verdict."""
        return self.asked.last_verdict - self.asked.first_call

    @property
    def rows_per_s(self) -> float:
        """Rows a second, first call to last verdict."""
        return self.rows / self.calls_s

    @property
    def cpu_ms_per_row(self) -> float:
        """CPU between first call and last verdict, milliseconds a row."""
        return 1000 * sum(self.cpu.values()) / self.rows


class _Mark:
    """CPU of the tree at the moment when the server has served so many; taken in a thread."""

    def __init__(self, llm: FakeLLM, what: str, count: int, pid: int) -> None:
        self.cpu: dict[str, float] = {}
        self.asked: Asked | None = None
        self._wanted = (what, count)
        self._thread = threading.Thread(target=self._wait, args=(llm, pid), daemon=True)
        self._thread.start()

    def _wait(self, llm: FakeLLM, pid: int) -> None:
        what, count = self._wanted
        asked = llm.wait(what, count)
        served = asked.verdicts if what == "verdicts" else asked.verdicts + asked.generations
        if served >= count:
            self.cpu = processes.cpu_by_role(processes.tree(pid))
            self.asked = asked

    def join(self) -> None:
        """Wait for the thread; the server answers all who wait when it is reset."""
        self._thread.join(10)


def measure(
    llm: FakeLLM, command: Command, rows: int, *, latency: float = 0.0, memory: bool = False
) -> Measured:
    """Run the command to its end. Raises RunFailed if it fails or leaves calls out."""
    llm.reset(latency)
    before, started = _children_cpu(), time.monotonic()
    with Running(command) as process:
        first, last = _Mark(llm, "calls", 1, process.pid), _Mark(llm, "verdicts", rows, process.pid)
        used = Memory()
        watch(process, (lambda: used.take(process.pid)) if memory else None)
        whole = time.monotonic() - started
    asked = llm.stats()
    llm.reset(0)
    first.join()
    last.join()
    if process.returncode or first.asked is None or last.asked is None:
        raise RunFailed(_told(command, process.returncode, asked, rows))
    return Measured(
        rows=rows,
        asked=asked,
        to_first_call_s=asked.first_call - started,
        whole_s=whole,
        start_cpu=first.cpu,
        cpu={role: spent - first.cpu.get(role, 0.0) for role, spent in last.cpu.items()},
        whole_cpu_s=_children_cpu() - before,
        memory=used,
    )


class Running:
    """The command's process; whatever of it is left at the end of the block is ended."""

    def __init__(self, command: Command) -> None:
        self._before = _below()
        with command.log.open("wb") as log:
            self._process = subprocess.Popen(
                command.arguments,
                cwd=command.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        processes.end(_below() - self._before)


def watch(process: subprocess.Popen[bytes], sample: Callable[[], None] | None) -> None:
    """Return when the process has ended. Raises RunFailed after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            process.wait(SAMPLE_S)
        except subprocess.TimeoutExpired:
            if sample is not None:
                sample()
        else:
            return
        if time.monotonic() > deadline:
            raise RunFailed(f"not done after {PATIENCE_S:g} s")


def _environment() -> dict[str, str]:
    """As a user's: with a key, and with compiled modules kept, as Python does by default."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNUSUAL}
    return {**kept, "OPENAI_API_KEY": "bench", "PYTHONPATH": ROOT}


def _below() -> set[int]:
    """All processes below this one; orphans too, see `processes.adopt_orphans`."""
    return {found.pid for found in processes.tree(os.getpid())}


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _told(command: Command, code: int, asked: Asked, rows: int) -> str:
    end = command.log.read_text(errors="replace").splitlines()[-15:]
    shown = "\n  ".join(end)
    return (
        f"{' '.join(command.arguments)}\nended with {code} after {asked.generations} generations "
        f"and {asked.verdicts} verdicts of {rows} rows; it said last:\n  {shown}"
    )

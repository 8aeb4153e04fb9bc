"""Where the CPU goes: py-spy attached to every Python process of a run that is not measured."""

import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import processes
from benchmarks.llm import FakeLLM
from benchmarks.runs import Command, Running

ROLES: Final = ("coordinator", "generator", "judge", "sink")
"""The command itself only follows along: the CPU table shows that."""
_RATE: Final = 100
_WARM_CALLS: Final = 3000
"""So many calls are not looked at: connections are opened and rows loaded meanwhile."""
_IDLE: Final = "_worker (concurrent/futures/thread.py)"
"""A thread of a pool that waits for work, which py-spy takes for busy."""
_OURS: Final = "prefmill/"
_ROOTS: Final = ("site-packages/", f"python{sys.version_info[0]}.{sys.version_info[1]}/", _OURS)


@dataclass
class Profile:
    """Samples of one process while it was on a CPU."""

    role: str
    cores: float = 0.0
    """CPU it used meanwhile, as a share of one core."""
    samples: int = 0
    leaves: Counter[str] = field(default_factory=Counter[str])
    """Samples by the function that ran."""
    owners: Counter[str] = field(default_factory=Counter[str])
    """Samples by the package of the function that ran."""
    within: Counter[str] = field(default_factory=Counter[str])
    """Samples by functions of prefmill, all that they called included."""

    def add(self, frames: list[str], count: int) -> None:
        """One stack, the outermost frame first."""
        names = [_name(frame) for frame in _inside(frames)]
        if names[-1] == _IDLE:
            return
        self.samples += count
        self.leaves[names[-1]] += count
        self.owners[_owner(frames[-1])] += count
        for name in {name for name in names if _OURS in name}:
            self.within[name] += count


def record(llm: FakeLLM, command: Command, seconds: int) -> list[Profile]:
    """Run the command, profile its processes for so long once calls flow, and end it."""
    llm.reset(0)
    with Running(command) as process:
        llm.wait("calls", _WARM_CALLS)
        before, started = processes.tree(process.pid), time.monotonic()
        spied = [found for found in before if found.role in ROLES]
        spies = [_spy(found.pid, command.folder / f"{found.role}.raw", seconds) for found in spied]
        for spy in spies:
            _wait(spy, started + seconds + 30)
        spent, elapsed = processes.tree(process.pid), time.monotonic() - started
    used = processes.cpu_by_role(spent)
    return [
        read(
            command.folder / f"{found.role}.raw",
            found.role,
            (used.get(found.role, 0.0) - found.own_cpu) / elapsed,
        )
        for found in sorted(spied, key=lambda found: ROLES.index(found.role))
    ]


def read(path: Path, role: str, cores: float) -> Profile:
    """A profile from py-spy's raw format; empty if py-spy was not allowed to look."""
    profile = Profile(role, cores)
    for line in path.read_text().splitlines() if path.exists() else ():
        stack, _, count = line.rpartition(" ")
        profile.add(stack.split(";"), int(count))
    return profile


def _spy(pid: int, output: Path, seconds: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid)),
            *("--format", "raw", "--function", "--rate", str(_RATE), "--duration", str(seconds)),
            *("--full-filenames", "--output", str(output)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait(spy: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        spy.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        spy.kill()
        spy.wait()


def _inside(frames: list[str]) -> list[str]:
    """The frames from the event loop on: what leads there is the same in every stack."""
    loops = [n for n, frame in enumerate(frames) if "asyncio/runners.py" in frame]
    return frames[loops[-1] :] if loops else frames


def _name(frame: str) -> str:
    """`function (file)`, without the line and with the path from the package on."""
    function, _, place = frame.partition(" (")
    path = place.rstrip(")").rpartition(":")[0] or place.rstrip(")")
    if path.endswith("asyncio/runners.py"):
        return "the event loop and sockets (uvloop)"
    for folder in _ROOTS:
        path = path.rpartition(folder)[2]
    return f"{function} ({_OURS + path if _OURS in place else path})"


def _owner(frame: str) -> str:
    """The package of a frame; within prefmill, with the package below."""
    parts = _name(frame).rpartition("(")[2].rstrip(")").split("/")
    return "/".join(parts[:2]) if parts[0] == "prefmill" else parts[0]

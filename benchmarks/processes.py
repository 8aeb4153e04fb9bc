"""What the processes of one run use, read from /proc: nothing is asked of the processes.

CPU is user plus system time, children that ended included. Memory is PSS: pages that processes
share are split among them, so that the sum over a tree counts each page once.
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(frozen=True)
class Process:
    """One process at one moment; CPU in seconds, of itself and of its children that ended."""

    pid: int
    parent: int
    role: str
    own_cpu: float
    ended_cpu: float


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that none is lost or left over."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def tree(root: int) -> list[Process]:
    """The live processes below and including this one."""
    stats = dict(_stats())
    children: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        children.setdefault(int(fields[1]), []).append(pid)
    found: list[Process] = []
    ahead = [root] if root in stats else []
    while ahead:
        pid = ahead.pop()
        ahead.extend(children.get(pid, ()))
        found.append(_process(pid, stats[pid], is_root=pid == root))
    return found


def cpu_by_role(processes: Iterable[Process]) -> dict[str, float]:
    """Seconds of CPU for each role, and of children that ended."""
    spent: dict[str, float] = {}
    for process in processes:
        spent[process.role] = spent.get(process.role, 0.0) + process.own_cpu
        spent["ended"] = spent.get("ended", 0.0) + process.ended_cpu
    return spent


def memory_by_role(processes: Iterable[Process]) -> dict[str, float]:
    """Megabytes (10^6 bytes) of PSS for each role."""
    used: dict[str, float] = {}
    for process in processes:
        used[process.role] = used.get(process.role, 0.0) + _pss(process.pid)
    return used


def end(pids: Iterable[int], patience: float = 5.0) -> None:
    """SIGTERM, and SIGKILL for those that are still there after `patience` seconds."""
    left = set(pids)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            _signal(pid, number)
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            reap()
            left = {pid for pid in left if Path(f"/proc/{pid}").exists()}
            time.sleep(0.05)


def reap() -> None:
    """Collect adopted children that ended; those of a subprocess.Popen are left to it."""
    for process in tree(os.getpid())[1:]:
        if process.parent == os.getpid() and process.role == "zombie":
            _wait(process.pid)


def _wait(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _stats() -> Iterable[tuple[int, list[str]]]:
    """Each process's fields of /proc/PID/stat, from the state on."""
    for entry in os.listdir("/proc"):  # noqa: PTH208 - much cheaper than Path.iterdir
        if entry.isdecimal() and (text := _read(f"/proc/{entry}/stat")):
            yield int(entry), text[text.rindex(")") + 2 :].split()


def _process(pid: int, fields: list[str], *, is_root: bool) -> Process:
    own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    role = "zombie" if fields[0] == "Z" else _role(pid, is_root=is_root)
    return Process(pid, int(fields[1]), role, own / _TICKS, ended / _TICKS)


def _role(pid: int, *, is_root: bool) -> str:
    """What a process is, by its name: services call themselves `pm-<service>`."""
    if is_root:
        return "command"
    name = _read(f"/proc/{pid}/comm").strip()
    if name.startswith(("postgres", "initdb")):
        return "Postgres"
    if name.startswith("nats"):
        return "NATS"
    return name.removeprefix("pm-") if name.startswith("pm-") else "helpers"


def _pss(pid: int) -> float:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""

"""Which pod was seen connected to which, read from /proc: nothing is asked of the pods."""

import socket
from collections.abc import Iterable
from pathlib import Path

from .cluster import LABEL, Pod

Arrow = tuple[str, str, int]
"""Name of the one that connected, name of the other or `outside`, port."""


class Watcher:
    """Collects arrows. One that lasts less than the time between two looks may be missed."""

    def __init__(self) -> None:
        self.seen: set[Arrow] = set()

    def look(self, pods: Iterable[Pod]) -> None:
        """Note all connections that pods have opened now."""
        pods = [pod for pod in pods if pod.process.poll() is None]
        by_ip = {pod.ip: pod.labels[LABEL] for pod in pods}
        inodes = _connections()
        for pod in pods:
            for pid in _family(pod.process.pid):
                for inode in _sockets(pid):
                    if inode in inodes:
                        self._note(pod, inodes[inode], by_ip)

    def _note(self, pod: Pod, ends: tuple[str, int, str, int], by_ip: dict[str, str]) -> None:
        _, local_port, remote, port = ends
        if local_port in pod.ports.values() and ends[0] == pod.ip:
            return
        self.seen.add((pod.labels[LABEL], by_ip.get(remote, "outside"), port))


def _connections() -> dict[str, tuple[str, int, str, int]]:
    """Inode → local address, local port, remote address, remote port, of established ones."""
    found: dict[str, tuple[str, int, str, int]] = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "01":
            found[fields[9]] = (*_end(fields[1]), *_end(fields[2]))
    return found


def _end(text: str) -> tuple[str, int]:
    address, port = text.split(":")
    return socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)


def _sockets(pid: int) -> Iterable[str]:
    try:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            target = str(file.readlink())
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:
        return


def _family(pid: int) -> list[int]:
    """The process and what descends from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(each for child in children for each in _family(int(child)))]

"""One service of the stack: what the nursery knows of it, and what its process does."""

import ctypes
import importlib
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from prefmill.cli.stack.turns import go_at_once

RESTARTS: Final = 5
WITHIN_S: Final = 60.0
"""A service that ends more often in this time is given up."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15


@dataclass
class Child:
    """One service: how it is started, and when it was started again."""

    orders: dict[str, Any]
    pid: int = 0
    wanted: bool = True
    restarts: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS))
    due: float | None = None
    """When it is to be started again, on the monotonic clock."""
    kill_at: float | None = None

    def due_again(self) -> float | None:
        """When it is started again, if it ended now: at once, then slower; None if too often."""
        now = time.monotonic()
        recent = sum(1 for at in self.restarts if now - at < WITHIN_S)
        if recent >= RESTARTS:
            return None
        return now + (0.0 if recent == 0 else 0.1 * 2**recent)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def serve(orders: dict[str, Any], permits: Any) -> int:
    """Be one service until it ends; its exit code. Output goes to its log."""
    name: str = orders["service"]
    os.environ.update(orders["environment"])
    _write_to(Path(orders["log"]))
    Path(orders["pid_file"]).write_text(str(os.getpid()))
    ctypes.CDLL(None).prctl(_PR_SET_NAME, f"pm-{orders['name']}".encode()[:15], 0, 0, 0)
    app = importlib.import_module(f"prefmill.{name}.app")
    settings = importlib.import_module(f"prefmill.{name}.settings")
    values = dict(orders["settings"])
    if values.get("host_lanes"):  # models on devices of this machine
        go_at_once()
    if permits is not None and orders["index"] is not None:
        values["permits"] = permits.of(orders["index"])
    try:
        app.main(getattr(settings, f"{name.title()}Settings")(**values))
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _write_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

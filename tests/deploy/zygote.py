"""Run as a program: imports the services once, then forks one for each order on its stdin.

Four services that import everything by themselves take ten seconds of CPU; forked, hardly any.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
from typing import Any

PRELOADED = (
    *(f"prefmill.{name}.app" for name in ("coordinator", "generator", "judge", "sink")),
    "prefmill.engines.simulated",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)


def main() -> None:
    die_with_parent()
    for name in PRELOADED:
        importlib.import_module(name)
    while line := sys.stdin.readline():
        order = json.loads(line)
        answer = ended(order["poll"]) if "poll" in order else os.fork()
        if answer == 0 and "poll" not in order:
            become(order)
            return
        print(json.dumps(answer), flush=True)


def ended(pid: int) -> int | None:
    """The exit code of a child; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def become(order: dict[str, Any]) -> None:
    """Be that service, in that environment, with that log, until it ends."""
    die_with_parent()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a file descriptor
        os.dup2(nothing.fileno(), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["env"])
    importlib.import_module(f"prefmill.{order['service']}.app").main()


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


if __name__ == "__main__":
    main()

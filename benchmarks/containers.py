"""Services as containers start them: processes of their own, told all by their environment."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def services(wanted: Iterable[tuple[str, Mapping[str, str]]]) -> Generator[None]:
    """A process for each name with its variables; all of them end with the block."""
    running = [
        subprocess.Popen([sys.executable, "-m", f"prefmill.{name}.app"], env={**os.environ, **env})
        for name, env in wanted
    ]
    try:
        yield
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(30)

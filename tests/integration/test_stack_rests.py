"""The workers of the embedded stack, with real processes and servers."""

import subprocess
import sys
from pathlib import Path

import pytest

STACK = """
import os, sys, time
from pathlib import Path
from prefmill.cli.stack.local import Stack

def until(holds):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)

def runs(name):
    file = stack.home / "run" / f"{name}.pid"
    comm = Path(f"/proc/{file.read_text() or 0}/comm") if file.exists() else file
    return comm.exists() and comm.read_text().strip() == f"pm-{name}"

workers = ("generator", "judge")
stack = Stack()
stack.launch(sys.argv[1])
try:
    stack.rest(False)
    until(lambda: all(map(runs, workers)))
    stack.rest(True)
    until(lambda: not any(map(runs, workers)))
    stack.rest(False)
    until(lambda: all(map(runs, workers)))
finally:
    stack.kill()
"""


@pytest.mark.slow
def test_workers_end_when_the_stack_rests_and_come_back(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STACK, str(tmp_path / "home")],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr

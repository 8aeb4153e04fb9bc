"""What the stack starts shares the CPUs in turns."""

import os
import subprocess
import sys

import pytest

CHILD = "import os, subprocess, sys; from prefmill.cli.stack.turns import go_at_once, take_turns"
POLICY = "subprocess.run([sys.executable, '-c', 'import os; print(os.sched_getscheduler(0))'])"


def policies(*steps: str) -> list[int]:
    """The scheduling of a process that is started after each of these steps."""
    code = "\n".join([CHILD, *(f"{step}\n{POLICY}" for step in steps)])
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return [int(line) for line in said.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a policy")
def test_children_take_turns_as_their_parent_does_until_it_goes_at_once_again() -> None:
    assert policies("take_turns()", "go_at_once()") == [os.SCHED_BATCH, os.SCHED_OTHER]

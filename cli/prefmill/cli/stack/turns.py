"""How the processes of the stack share the CPUs: in turns, not at every message.

They talk to each other all the time, and by default the kernel lets whoever is sent something
interrupt whoever runs. Where cores are few, that is a change of process for nearly every call, each
with cold caches: an eighth of all the CPU time of a run. A batch process that is woken waits until
the one that runs has had its few milliseconds, and then finds more to do at once. With a core free,
nothing waits. See sched(7).
"""

import os
from contextlib import suppress


def take_turns() -> None:
    """Have this process, and all that it starts from now on, interrupt no other when woken."""
    _schedule("SCHED_BATCH")


def go_at_once() -> None:
    """Undo that, for what a GPU waits for."""
    _schedule("SCHED_OTHER")


def _schedule(policy: str) -> None:
    """Only Linux has it, and a sandbox may forbid it: then all stays as it is."""
    if hasattr(os, policy):
        with suppress(OSError):
            os.sched_setscheduler(0, getattr(os, policy), os.sched_param(0))

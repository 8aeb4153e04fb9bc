import os
import subprocess
import sys
import threading

import pytest

from prefmill.engines.vllm.cores import OURS, keep_off_workers, use_all_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cores are bound on Linux only")

WORKER = """
import os, subprocess, sys
deep = int(sys.argv[1])
if deep:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[3], str(deep - 1), *sys.argv[2:]])
    child.wait()
else:
    os.sched_setaffinity(0, {int(core) for core in sys.argv[2].split()})
    print("bound", flush=True)
    sys.stdin.read()
"""


def _bound(cores: set[int]) -> subprocess.Popen[str]:
    """A process whose child's only thread runs on these cores."""
    said = " ".join(map(str, cores))
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, "1", said, WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "bound\n"
    return process


def test_all_threads_leave_the_cores_of_workers_and_come_back() -> None:
    first = min(OURS)
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    assert other.native_id is not None
    with _bound({first}) as worker:
        try:
            keep_off_workers()
            own, others = os.sched_getaffinity(0), os.sched_getaffinity(other.native_id)
        finally:
            use_all_cores()
            back = os.sched_getaffinity(other.native_id)
            done.set()
            worker.communicate()
    assert own == others == (OURS - {first} or OURS)
    assert os.sched_getaffinity(0) == back == OURS


def test_cores_are_left_to_no_worker_that_has_ended_or_may_run_anywhere() -> None:
    with _bound({min(OURS)}) as ended:
        ended.communicate()
    with _bound(set(OURS)) as worker:
        keep_off_workers()
        assert os.sched_getaffinity(0) == OURS
        worker.communicate()

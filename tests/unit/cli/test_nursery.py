"""The process that services are forked from, with real processes and a service of our own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SERVICE = """\
import os, signal, sys, time

def main(settings):
    asked = [os.sched_getscheduler(0)] if settings.word == "turns" else []
    print("up", settings.word, *asked, flush=True)
    if settings.word == "ends":
        sys.exit("error: it cannot be")
    if settings.word == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pause() if settings.word != "deaf" else time.sleep(60)
"""

SETTINGS = """\
class EchoSettings:
    def __init__(self, word, host_lanes=()):
        self.word = word
"""

COMMAND = """\
import sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
from prefmill.cli.stack.nest import Nest

nest = Nest("echo")
log = Path({folder!r}, "logs", "echo.log")

heard = []

def wait_for(event, **what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        heard.extend(nest.events())
        while heard:
            found = heard.pop(0)
            print(found, flush=True)
            if found["event"] == event and found.items() >= what.items():
                return found
        time.sleep(0.01)
    raise SystemExit(f"no {{event}}")

"""


def command(folder: Path, script: str) -> subprocess.Popen[str]:
    """A command with a nursery that can run the service `echo`."""
    package = folder / "prefmill" / "echo"
    package.mkdir(parents=True)
    for sub in ("logs", "run"):
        (folder / sub).mkdir()
    (package / "__init__.py").write_text("")
    (package / "app.py").write_text(SERVICE)
    (package / "settings.py").write_text(SETTINGS)
    text = COMMAND.format(folder=str(folder)) + script
    return subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def said_by(folder: Path, script: str) -> str:
    """What the command printed; it must have ended well."""
    process = command(folder, script)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def gone(pid: int) -> bool:
    """Whether the process ends within a few seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_services_take_turns_but_for_one_with_a_model_on_a_device(tmp_path: Path) -> None:
    said_by(
        tmp_path,
        """
from prefmill.cli.stack.turns import take_turns
take_turns()
nest = Nest("echo")
gpu = log.with_name("gpu.log")
nest.start("echo", log, {"word": "turns"})
nest.start("gpu", gpu, {"word": "turns", "host_lanes": ["lane"]}, service="echo")
for each in (log, gpu):
    while "up" not in (each.read_text() if each.exists() else ""): time.sleep(0.01)
nest.stop(["echo", "gpu"], 5)
nest.leave()
""",
    )
    logs = tmp_path / "logs"
    assert (logs / "echo.log").read_text() == f"up turns {os.SCHED_BATCH}\n"
    assert (logs / "gpu.log").read_text() == f"up turns {os.SCHED_OTHER}\n"


def test_a_killed_service_is_started_again_with_its_later_settings(tmp_path: Path) -> None:
    said_by(
        tmp_path,
        """
nest.start("echo", log, {"word": "first"}, {"word": "later"})
import os, signal
pid = wait_for("started")["pid"]
while "up" not in (log.read_text() if log.exists() else ""): time.sleep(0.01)
os.kill(pid, signal.SIGKILL)
ended = wait_for("ended", code=-9, again=True)
again = wait_for("started")["pid"]
assert again != pid
while "later" not in log.read_text(): time.sleep(0.01)
nest.stop(["echo"], 5)
nest.leave()
""",
    )
    assert (tmp_path / "logs" / "echo.log").read_text() == "up first\nup later\n"


def test_a_service_that_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    said = said_by(
        tmp_path,
        """
nest.start("echo", log, {"word": "ends"})
wait_for("ended", again=False)
nest.leave()
""",
    )
    assert said.count("'again': True") == 5
    assert "error: it cannot be" in (tmp_path / "logs" / "echo.log").read_text()


def test_a_service_that_does_not_listen_is_killed_when_patience_ends(tmp_path: Path) -> None:
    said_by(
        tmp_path,
        """
nest.start("echo", log, {"word": "deaf"})
pid = wait_for("started")["pid"]
while "up" not in (log.read_text() if log.exists() else ""): time.sleep(0.01)
nest.stop(["echo"], 0.2)
import os
try:
    os.kill(pid, 0)
except ProcessLookupError:
    pass
else:
    raise SystemExit("it lives")
nest.leave()
""",
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_services_end_with_the_command_however_it_ends(how: signal.Signals, tmp_path: Path) -> None:
    process = command(
        tmp_path,
        """
nest.start("echo", log, {"word": "stays"})
pid = wait_for("started")["pid"]
while "up" not in (log.read_text() if log.exists() else ""): time.sleep(0.01)
print("pids", nest.pid, pid, flush=True)
time.sleep(60)
""",
    )
    assert process.stdout is not None
    pids = next(line for line in process.stdout if line.startswith("pids")).split()[1:]
    process.send_signal(how)
    process.wait()
    process.stdout.close()
    assert all(gone(int(pid)) for pid in pids)


def test_a_service_that_cannot_be_imported_ends_the_command_with_one_line(tmp_path: Path) -> None:
    said = said_by(
        tmp_path,
        """
from prefmill.cli.stop import Stop
broken = Nest("nowhere")
try:
    broken.stop(["nowhere"], 1)
except Stop as stop:
    print("said: " + " ".join(stop.lines) + "\\n", end="")
broken.leave()
nest.leave()
""",
    )
    assert (
        "said: error: the services cannot be loaded: ModuleNotFoundError: No module named "
        "'prefmill.nowhere'"
    ) in said

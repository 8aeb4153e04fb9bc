"""What a service says of itself while it cannot work: as a container's probes and logs see it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefmill.cli.embedded.binaries import nats_program

APPS = ("coordinator", "generator", "judge", "sink")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def service(name: str, **env: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """The service as a container starts it, and the address of its probes."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", f"prefmill.{name}.app"],
        env=os.environ
        | {"PREFMILL_PROBE_PORT": str(port), "PREFMILL_LOG_FORMAT": "json"}
        | {"PREFMILL_PORT": str(free_port())}
        | env,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def answer(url: str, seconds: float = 20.0) -> tuple[int, str]:
    """Status and text, as soon as somebody listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens at {url}"
            time.sleep(0.02)


@pytest.mark.parametrize("name", APPS)
def test_a_service_without_nats_lives_and_says_what_it_waits_for(name: str) -> None:
    nowhere = f"nats://127.0.0.1:{free_port()}"
    with service(name, PREFMILL_NATS_URL=nowhere, PREFMILL_NATS_WAIT_S="60") as (process, url):
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
        assert answer(f"{url}/healthz")[0] == 200
        status, text = answer(f"{url}/readyz")
    assert status == 503
    assert text.startswith(f"waits for NATS at {nowhere}")
    assert first["message"].startswith(f"waits for NATS at {nowhere}")
    assert first["level"] == "WARNING"


@contextmanager
def guarded_server(folder: Path) -> Generator[str]:
    """A NATS that wants a password; its address."""
    port = free_port()
    users = "users: [{user: generator, password: right}]"
    config = folder / "nats.conf"
    config.write_text(f"host: 127.0.0.1\nport: {port}\nauthorization {{ {users} }}\n")
    process = subprocess.Popen([nats_program(), "-c", config], stderr=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_a_wrong_nats_password_is_told_by_log_and_readiness_and_waited_for(tmp_path: Path) -> None:
    with guarded_server(tmp_path) as place:
        wrong = f"nats://generator:wrong@{place}"
        with service("generator", PREFMILL_NATS_URL=wrong, PREFMILL_NATS_WAIT_S="60") as started:
            process, url = started
            assert process.stderr is not None
            lines = [json.loads(process.stderr.readline())["message"]]
            while "does not let" not in lines[-1]:
                assert lines[-1].startswith("waits for NATS"), lines
                lines.append(json.loads(process.stderr.readline())["message"])
            status, text = answer(f"{url}/readyz")
            assert process.poll() is None
    assert status == 503
    assert text.startswith(f"NATS at nats://{place} does not let this service in")
    assert "Authorization Violation" in text
    assert "wrong" not in text


def test_a_wrong_nats_password_ends_a_service_that_may_not_wait_with_one_line(
    tmp_path: Path,
) -> None:
    with guarded_server(tmp_path) as place:
        wrong = f"nats://generator:wrong@{place}"
        with service("generator", PREFMILL_NATS_URL=wrong, PREFMILL_NATS_WAIT_S="2") as started:
            process, _ = started
            _, said = process.communicate(timeout=40)
    assert process.returncode == 1
    assert "error: NATS at" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_name_that_is_not_deployed_ends_a_worker_with_one_line(tmp_path: Path) -> None:
    with service("generator", PREFMILL_SERVE="gemma", PREFMILL_DEPLOYED=str(tmp_path)) as started:
        process, _ = started
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.startswith("error: ")
    assert "no model is deployed as 'gemma'" in said
    assert said.count("\n") == 1

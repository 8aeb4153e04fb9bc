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


def test_a_name_that_is_not_deployed_ends_a_worker_with_one_line(tmp_path: Path) -> None:
    with service("generator", PREFMILL_SERVE="gemma", PREFMILL_DEPLOYED=str(tmp_path)) as started:
        process, _ = started
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.startswith("error: ")
    assert "no model is deployed as 'gemma'" in said
    assert said.count("\n") == 1

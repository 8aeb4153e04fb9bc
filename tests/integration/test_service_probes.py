"""What a service says of itself while it cannot work: as a container's probes and logs see it."""

import asyncio
import json
import os
import signal
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
import sqlalchemy as sa

from prefmill.cli.embedded import Home, start_nats
from prefmill.cli.embedded.binaries import nats_program
from prefmill.ledger.database import Ledger
from prefmill.messaging.connection import connect
from prefmill.messaging.entry import shut_out
from tests.e2e.command import until

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


class Guarded:
    """A NATS that wants the password of a user, and can be told another one."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "nats.conf"
        self.place = f"127.0.0.1:{free_port()}"
        self.knows("right")
        self.start()

    def knows(self, password: str) -> None:
        """From its next start or reload on."""
        self._config.write_text(
            f"listen: {self.place}\njetstream {{ store_dir: {self._config.parent} }}\n"
            f"authorization {{ users: [{{user: generator, password: {password}}}] }}\n"
        )

    def start(self) -> None:
        program = [nats_program(), "-c", self._config]
        self._process = subprocess.Popen(program, stderr=subprocess.DEVNULL)

    def reload(self) -> None:
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def guarded_server(folder: Path) -> Generator[Guarded]:
    """Ended in the end."""
    server = Guarded(folder)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def let_in(folder: Path) -> Generator[tuple[Guarded, subprocess.Popen[str], str]]:
    """A generator that is ready; the server that has let it in, the process, and its address."""
    with guarded_server(folder) as server:
        right = f"nats://generator:right@{server.place}"
        with service("generator", PREFMILL_NATS_URL=right) as (process, url):
            until(lambda: answer(f"{url}/readyz")[0] == 200, "readiness")
            yield server, process, url


def test_a_wrong_nats_password_is_told_by_log_and_readiness_and_waited_for(tmp_path: Path) -> None:
    with guarded_server(tmp_path) as server:
        place = server.place
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
    with guarded_server(tmp_path) as server:
        wrong = f"nats://generator:wrong@{server.place}"
        with service("generator", PREFMILL_NATS_URL=wrong, PREFMILL_NATS_WAIT_S="2") as started:
            process, _ = started
            _, said = process.communicate(timeout=40)
    assert process.returncode == 1
    last = json.loads(said.splitlines()[-1])
    assert last["level"] == "ERROR"
    assert last["message"].startswith("NATS at")
    assert "Traceback" not in said


def test_a_service_whose_password_is_changed_ends_with_one_line_to_be_started_again(
    tmp_path: Path,
) -> None:
    with let_in(tmp_path) as (server, process, _):
        server.knows("another")
        server.reload()
        _, said = process.communicate(timeout=40)
    assert process.returncode == 1
    last = json.loads(said.splitlines()[-1])
    assert last["level"] == "ERROR"
    assert f"NATS at nats://{server.place} does not let user 'generator' in any more" in said
    assert "set PREFMILL_NATS_URL" in last["message"]
    assert said.count("any more") == 1
    assert "right" not in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_service_that_a_restarted_server_refuses_says_so_and_ends_if_that_lasts(
    tmp_path: Path,
) -> None:
    with let_in(tmp_path) as (server, process, url):
        for password, told in (("another", 503), ("right", 200), ("another", 503)):
            server.kill()
            server.knows(password)
            server.start()
            until(lambda told=told: answer(f"{url}/readyz")[0] == told, "its answer")
        _, text = answer(f"{url}/readyz")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert text.startswith(f"NATS at nats://{server.place} does not let user 'generator' in any")
    assert text.strip() in json.loads(said.splitlines()[-1])["message"]
    assert "Traceback" not in said


async def test_a_connection_that_is_only_lost_is_waited_for_without_end(tmp_path: Path) -> None:
    told: list[str] = []
    with guarded_server(tmp_path) as server:
        right = f"nats://generator:right@{server.place}"
        nc = await connect(right, "test")
        watching = asyncio.create_task(shut_out(nc, right, told.append, patience_s=0.0))
        server.kill()
        while nc.last_error is None:
            await asyncio.sleep(0.05)
        await asyncio.wait([watching], timeout=1.0)
        assert not watching.done()
        server.start()
        while not nc.is_connected:
            await asyncio.sleep(0.05)
        assert not watching.done()
        assert not any(told)
        watching.cancel()
        await nc.close()


async def test_a_service_whose_server_is_gone_ends_without_a_goodbye(tmp_path: Path) -> None:
    with Home(tmp_path / "home") as home:
        server = start_nats(home)
        with service("generator", PREFMILL_NATS_URL=server.url) as (process, url):
            until(lambda: answer(f"{url}/readyz")[0] == 200, "readiness")
            os.kill(server.pid, signal.SIGKILL)
            assert process.stderr is not None
            while "connection lost" not in (line := process.stderr.readline()):
                assert line, "the service ended by itself"
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=40)
        server.stop()
    assert process.returncode == 0, said
    assert "Traceback" not in said


def told(process: subprocess.Popen[str], url: str) -> str:
    """What its first line says and its readiness repeats, before it ends by itself."""
    assert process.stderr is not None
    first = json.loads(process.stderr.readline())["message"]
    status, text = answer(f"{url}/readyz")
    assert (status, text.strip()) == (503, first)
    last = json.loads(process.stderr.readline())
    assert (last["level"], last["message"]) == ("ERROR", first)
    assert process.wait(20) == 1
    return first


def test_a_name_that_is_not_deployed_is_told_by_log_and_readiness(tmp_path: Path) -> None:
    env = {"PREFMILL_SERVE": "gemma", "PREFMILL_DEPLOYED": str(tmp_path)}
    with service("generator", PREFMILL_NATS_WAIT_S="2", **env) as started:
        assert "no model is deployed as 'gemma'" in told(*started)


@pytest.mark.slow
def test_a_token_that_is_missing_is_told_by_log_and_readiness() -> None:
    env = {"PREFMILL_HOST": "0.0.0.0", "PREFMILL_NATS_WAIT_S": "2"}  # noqa: S104 - refused
    with service("coordinator", **env) as started:
        assert "set PREFMILL_TOKEN" in told(*started)


@pytest.mark.slow
async def test_a_ledger_nobody_migrated_is_told_by_log_and_readiness_and_waited_for(
    ledger: Ledger, database_url: str, nats_url: str
) -> None:
    async with ledger.begin() as connection:
        await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        await connection.execute(sa.text("CREATE SCHEMA public"))
    env = {
        "PREFMILL_NATS_URL": nats_url,
        "PREFMILL_DATABASE_URL": database_url.replace("+asyncpg", ""),
        "PREFMILL_MIGRATE": "false",
        "PREFMILL_DATABASE_WAIT_S": "60",
    }
    with service("sink", **env) as (process, url):
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
        status, text = answer(f"{url}/readyz")
        assert answer(f"{url}/healthz")[0] == 200
    assert status == 503
    for said in (first["message"], text):
        assert said.startswith("the ledger is at migration none")
        assert "python -m prefmill.ledger upgrade" in said


def deployed(folder: Path, name: str, text: str) -> dict[str, str]:
    """The environment of a worker that serves this one model."""
    (folder / "models").mkdir()
    (folder / "models" / f"{name}.yaml").write_text(text)
    return {"PREFMILL_SERVE": name, "PREFMILL_DEPLOYED": str(folder)}


@pytest.mark.slow
def test_a_name_that_no_queue_can_have_is_told_by_log_and_readiness(tmp_path: Path) -> None:
    env = deployed(tmp_path, "Zephyr_7B", "engine: simulated\nmodel: org/zephyr\n")
    with service("generator", PREFMILL_NATS_WAIT_S="2", **env) as started:
        said = told(*started)
    assert "Zephyr_7B" in said
    assert "no name for a queue" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("no-device", "no GPU is visible to this worker"),
        ("openai", "NO_SUCH_KEY is not set"),
    ],
)
def test_a_worker_whose_device_or_key_is_missing_says_so_by_its_readiness(
    engine: str, said: str, tmp_path: Path, nats_url: str
) -> None:
    more = "api_key_env: NO_SUCH_KEY\n" if engine == "openai" else ""
    env = deployed(tmp_path, "zephyr", f"engine: {engine}\nmodel: org/zephyr\n{more}")
    plugins = str(Path(__file__).parents[1] / "flow" / "plugins")
    with service("generator", PREFMILL_NATS_URL=nats_url, PYTHONPATH=plugins, **env) as started:
        process, url = started
        deadline = time.monotonic() + 60
        while "unusable" not in (text := answer(f"{url}/readyz")[1]):
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        assert answer(f"{url}/healthz")[0] == 200, "it is not restarted for nothing"
        assert process.poll() is None
    assert text.startswith("lane zephyr is unusable: ")
    assert said in text

"""The four services as processes on embedded servers, with probes open, and Prometheus beside."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from prefmill.cli.embedded import start_all

from .api import Api

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES = ("coordinator", "sink", "generator", "judge")


def missing_programs() -> str:
    """Why nothing can be asked here; empty if everything is."""
    absent = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not on PATH (Debian: apt-get install prometheus)"[
        : None if absent else 0
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait for something that other processes bring about."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.1)
    return value


class Line:
    """Running services: their API, their NATS, and where their metrics are."""

    def __init__(self, folder: Path, dsn: str, nats_url: str) -> None:
        self.folder = folder
        self.nats_url = nats_url
        self.targets = {name: f"127.0.0.1:{free_port()}" for name in SERVICES}
        self._dsn = dsn
        self._port = free_port()
        self.api = Api(f"http://127.0.0.1:{self._port}", "a-token")

    @contextmanager
    def service(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """One service, as a container starts it."""
        env = {
            "PREFMILL_NATS_URL": self.nats_url,
            "PREFMILL_PROBE_PORT": self.targets[name].rpartition(":")[2],
            "PREFMILL_LOG_FORMAT": "json",
            "PREFMILL_DATABASE_URL": self._dsn,
            "PREFMILL_EXPORTS_DIR": str(self.folder / "out"),
            "PREFMILL_PORT": str(self._port),
            "PREFMILL_TOKEN": "a-token",
            "PREFMILL_HOST_ANY": "true",
        }
        mine = {
            "coordinator": ("PREFMILL_DATABASE_URL", "PREFMILL_PORT", "PREFMILL_TOKEN"),
            "sink": ("PREFMILL_DATABASE_URL", "PREFMILL_EXPORTS_DIR"),
        }.get(name, ("PREFMILL_HOST_ANY",))
        shared = ("PREFMILL_NATS_URL", "PREFMILL_PROBE_PORT", "PREFMILL_LOG_FORMAT")
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"prefmill.{name}.app"],
                env=os.environ | {key: env[key] for key in (*shared, *mine)},
                stderr=log,
            )
        try:
            yield process
        finally:
            ended(process)

    def ready(self, name: str) -> bool:
        try:
            return bool(fetched(f"http://{self.targets[name]}/readyz"))
        except OSError:
            return False

    def metrics(self, name: str) -> str:
        return fetched(f"http://{self.targets[name]}/metrics")


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


@contextmanager
def line(folder: Path) -> Iterator[Line]:
    """All four services, ready."""
    with ExitStack() as stack:
        servers = stack.enter_context(start_all(folder / "home", sync="10s"))
        dsn = servers.postgres.dsn.replace("postgresql://", "postgresql+asyncpg://", 1)
        running = Line(folder, dsn, servers.nats.url)
        for name in SERVICES:
            stack.enter_context(running.service(name))
        for name in SERVICES:
            until(lambda name=name: running.ready(name), f"readiness of {name}")
        yield running


class Prometheus:
    """A Prometheus that scrapes every second."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression. AssertionError with Prometheus' words if it is none."""
        query = urllib.parse.urlencode({"query": expression})
        try:
            answer = json.loads(fetched(f"{self._url}/api/v1/query?{query}"))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
        return answer["data"]["result"]

    def ready(self) -> bool:
        try:
            return bool(fetched(f"{self._url}/-/ready"))
        except OSError:
            return False


@contextmanager
def prometheus(folder: Path, targets: dict[str, str]) -> Iterator[Prometheus]:
    """Prometheus with the rules of this project, scraping these addresses by name."""
    port = free_port()
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / "rules.yml")]
    config["scrape_configs"] = [
        {
            "job_name": "prefmill",
            "static_configs": [
                {"targets": [target], "labels": {"service": name}}
                for name, target in targets.items()
            ],
        }
    ]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=log,
            stdout=log,
        )
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        until(running.ready, "Prometheus")
        yield running
    finally:
        ended(process)

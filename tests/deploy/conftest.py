"""The local overlay, set up and running as processes, once for all tests of this folder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from .api import Api
from .cluster import Cluster, load
from .connections import Watcher
from .processes import zygote

RENDERED = Path(__file__).parents[2] / "deploy" / "k8s" / "rendered"

_subnets = count(os.getpid() % 200)


def subnet() -> int:
    """Of loopback addresses that no other cluster here has."""
    return next(_subnets) % 250


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A short path that other users may pass through, as Postgres does when tests run as root."""
    path = Path(tempfile.mkdtemp(prefix="prefmill-cluster-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(load(RENDERED / "local.yaml"), folder, subnet())
    try:
        servers = [
            cluster.start("StatefulSet", f"prefmill-{name}") for name in ("postgres", "nats")
        ]
        cluster.until_ready(servers)
        cluster.run_job("prefmill-setup")
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def watcher() -> Watcher:
    """Who was seen to connect to whom, over all tests."""
    return Watcher()


@pytest.fixture(scope="session")
def services(cluster: Cluster) -> None:
    """One pod of each deployment, as the overlay says."""
    pods = [cluster.start("Deployment", d["metadata"]["name"]) for d in cluster.of("Deployment")]
    cluster.until_ready(pods)


@pytest.fixture(scope="session", autouse=True)
def end_of_the_zygote() -> Iterator[None]:
    yield
    if zygote.cache_info().currsize:
        zygote().end()


@pytest.fixture
def api(cluster: Cluster, services: None) -> Api:
    return Api(f"http://{cluster.address('prefmill-coordinator')}:8400", "local")

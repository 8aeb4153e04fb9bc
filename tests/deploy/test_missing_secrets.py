"""The local overlay where nobody has made the secrets: each container says which it lacks."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, Pod, load
from .conftest import RENDERED, subnet

pytestmark = pytest.mark.slow

LACKS = {
    "coordinator": "PREFMILL_DATABASE_URL is made of DATABASE_URL, which is not set",
    "sink": "PREFMILL_DATABASE_URL is made of DATABASE_URL, which is not set",
    "generator": "PREFMILL_NATS_URL is made of NATS_PASSWORD, which is not set",
    "judge": "PREFMILL_NATS_URL is made of NATS_PASSWORD, which is not set",
}


@pytest.fixture(scope="module")
def bare(folder: Path) -> Iterator[Cluster]:
    documents = [d for d in load(RENDERED / "local.yaml") if d["kind"] != "Secret"]
    cluster = Cluster(documents, folder / "bare", subnet())
    cluster.folder.mkdir(mode=0o711)
    try:
        yield cluster
    finally:
        cluster.stop()


def told(pod: Pod, seconds: float = 30) -> tuple[str, str]:
    """The first line of its log and what its readiness says, as soon as both are there."""
    deadline = time.monotonic() + seconds
    while not (pod.said().partition("\n")[1] and pod.probe("liveness")[0]):
        assert time.monotonic() < deadline, f"{pod.name}: {pod.said()}"
        time.sleep(0.05)
    ready, said = pod.probe("readiness")
    assert not ready
    return json.loads(pod.said().partition("\n")[0])["message"], said.strip()


def test_a_service_says_which_secret_it_lacks_by_its_first_line_and_its_readiness(
    bare: Cluster,
) -> None:
    pods = [bare.start("Deployment", d["metadata"]["name"]) for d in bare.of("Deployment")]
    for pod in pods:
        line, readiness = told(pod)
        assert line == readiness
        assert line.startswith(LACKS[pod.app])
        assert "the secret that it comes from" in line
        assert pod.process.poll() is None


def test_nats_and_the_setup_say_it_as_they_end(bare: Cluster) -> None:
    server = bare.start("StatefulSet", "prefmill-nats")
    assert server.process.wait(20) != 0
    assert "NATS_COORDINATOR_PASSWORD" in server.said().splitlines()[0]
    with pytest.raises(AssertionError, match="DATABASE_URL, which is not set"):
        bare.run_job("prefmill-setup")

"""Workers come with the work and go with it, by the numbers of the ScaledObjects themselves."""

import time
from typing import Any

import pytest

from .api import Api
from .cluster import Cluster, Pod, load
from .conftest import RENDERED
from .scaler import Scaler, jsz, lag_of

pytestmark = pytest.mark.slow

ROWS = 3000
HURRY = 60.0
"""Ten minutes of cool-down are ten seconds here."""


def scaled_object(name: str) -> dict[str, Any]:
    found = [d for d in load(RENDERED / "gpu.yaml") if d["kind"] == "ScaledObject"]
    return next(d for d in found if d["metadata"]["name"] == name)


def test_generators_scale_from_none_to_many_to_none_and_no_row_is_lost(
    cluster: Cluster, api: Api
) -> None:
    scaled = scaled_object("prefmill-generator-zephyr")
    metadata = scaled["spec"]["triggers"][0]["metadata"]
    monitor = f"{cluster.address('prefmill-nats')}:8222"
    name = "prefmill-generator-river"
    cluster.stop([pod for pod in cluster.pods if pod.labels.get("prefmill.dev/lane") == "river"])
    cut: list[Pod] = []

    def read() -> int:
        return lag_of(jsz(monitor), metadata["account"], metadata["stream"], "river")

    def stop(pods: list[Pod]) -> None:
        cluster.stop(pods)
        cut.extend(pods)

    scaler = Scaler(scaled, read, lambda: cluster.start("Deployment", name), stop, HURRY)
    scaler.step()
    assert scaler.history == [0], "nothing waits: nobody works"
    recipe = {
        "name": "scaled",
        "seed": 9,
        "source": {"inline": [f"Say something of the number {n}." for n in range(ROWS)]},
        "models": ["river"],
        "generate": {"params": {"max_tokens": 32}},
        "output": {"formats": ["raw"]},
    }
    run = api("/v1/runs", {"recipe": recipe})
    status = api.finish(run["id"], scaler.step)
    deadline = time.monotonic() + 60
    while scaler.pods:
        assert time.monotonic() < deadline, scaler.history
        scaler.step()
        time.sleep(0.2)
    assert status["state"] == "finished", status
    assert max(scaler.history) == scaled["spec"]["maxReplicaCount"]
    assert scaler.history[-1] == 0
    assert all(pod.process.returncode == 0 for pod in cut), "they left in good order"
    rows, after = 0, -1
    while page := api(f"/v1/runs/{run['id']}/rows?limit=1000&after={after}")["rows"]:
        assert all(len(row["cells"]) == 1 and row["cells"][0]["text"] for row in page)
        rows, after = rows + len(page), page[-1]["position"]
    assert rows == ROWS


def test_the_thresholds_are_what_the_page_says_they_are() -> None:
    """One worker's share: slots ÷ 32 rows a batch, at the concurrency of the deployed model."""
    generator = scaled_object("prefmill-generator-zephyr")["spec"]["triggers"][0]["metadata"]
    judge = scaled_object("prefmill-judge-haiku")["spec"]["triggers"][0]["metadata"]
    assert (generator["stream"], judge["stream"]) == ("GENERATE", "JUDGE")
    floor_in_batches = 1024 // 32
    assert int(generator["lagThreshold"]) < floor_in_batches, "a lane without workers wakes one"
    assert int(judge["lagThreshold"]) < floor_in_batches

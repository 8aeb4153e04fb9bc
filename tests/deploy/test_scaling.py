"""Workers come with the work and go with it, by the numbers of the ScaledObjects themselves."""

import time
from functools import partial
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


class Scaled:
    """A run whose one lane is served by as many workers as a ScaledObject wants."""

    def __init__(self, cluster: Cluster, scaled: dict[str, Any], deployment: str) -> None:
        self._cluster = cluster
        self._trigger = scaled["spec"]["triggers"][0]["metadata"]
        self._monitor = f"{cluster.address('prefmill-nats')}:8222"
        self._lane = deployment.rsplit("-", 1)[-1]
        self.cut: list[Pod] = []
        self.most_lag = 0
        mine = [pod for pod in cluster.pods if pod.labels.get("prefmill.dev/lane") == self._lane]
        cluster.stop(mine)
        start = partial(cluster.start, "Deployment", deployment)
        self.scaler = Scaler(scaled, self._lag, start, self._stop, HURRY)

    def run(self, api: Api, recipe: dict[str, Any]) -> Any:
        """From none, through the run, to none; the run's status at its end."""
        self.scaler.step()
        assert self.scaler.history == [0], "nothing waits: nobody works"
        run = api("/v1/runs", {"recipe": recipe})
        status = api.finish(run["id"], self.scaler.step)
        deadline = time.monotonic() + 60
        while self.scaler.pods:
            assert time.monotonic() < deadline, self.scaler.history
            self.scaler.step()
            time.sleep(0.2)
        assert status["state"] == "finished", status
        assert all(pod.process.returncode == 0 for pod in self.cut), "they left in good order"
        return status

    def _lag(self) -> int:
        trigger = self._trigger
        found = lag_of(jsz(self._monitor), trigger["account"], trigger["stream"], self._lane)
        self.most_lag = max(self.most_lag, found)
        return found

    def _stop(self, pods: list[Pod]) -> None:
        self._cluster.stop(pods)
        self.cut.extend(pods)


def rows_of(api: Api, run: int) -> list[Any]:
    rows: list[Any] = []
    while page := api(f"/v1/runs/{run}/rows?limit=1000&after={len(rows) - 1}")["rows"]:
        rows += page
    return rows


def test_generators_scale_from_none_to_many_to_none_and_no_row_is_lost(
    cluster: Cluster, api: Api
) -> None:
    scaled = scaled_object("prefmill-generator-zephyr")
    line = Scaled(cluster, scaled, "prefmill-generator-river")
    status = line.run(
        api,
        {
            "name": "scaled",
            "seed": 9,
            "source": {"inline": [f"Say something of the number {n}." for n in range(ROWS)]},
            "models": ["river"],
            "generate": {"params": {"max_tokens": 32}},
            "output": {"formats": ["raw"]},
        },
    )
    assert max(line.scaler.history) == scaled["spec"]["maxReplicaCount"]
    rows = rows_of(api, status["id"])
    assert len(rows) == ROWS
    assert all(len(row["cells"]) == 1 and row["cells"][0]["text"] for row in rows)


def test_judges_scale_to_what_their_rate_limit_bears_and_no_further(
    cluster: Cluster, api: Api
) -> None:
    scaled = scaled_object("prefmill-judge-haiku")
    line = Scaled(cluster, scaled, "prefmill-judge-owl")
    given = [{"prompt": f"{n}?", "responses": {"x": "One.", "y": "Two."}} for n in range(ROWS)]
    status = line.run(
        api,
        {
            "name": "scaled-judges",
            "source": {"inline": given},
            "judges": ["owl"],
            "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
            "output": {"formats": ["raw"]},
        },
    )
    most = scaled["spec"]["maxReplicaCount"]
    threshold = int(scaled["spec"]["triggers"][0]["metadata"]["lagThreshold"])
    assert max(line.scaler.history) == most
    assert line.most_lag > most * threshold, "the work alone would have wanted more of them"
    rows = rows_of(api, status["id"])
    assert len(rows) == ROWS
    verdicts = [cell for row in rows for cell in row["cells"] if cell["kind"] == "judge"]
    assert len(verdicts) == ROWS
    assert all(cell["ratings"] for cell in verdicts)


def test_the_thresholds_are_what_the_page_says_they_are() -> None:
    """One worker's share: slots ÷ 32 rows a batch, at the concurrency of the deployed model."""
    generator = scaled_object("prefmill-generator-zephyr")["spec"]["triggers"][0]["metadata"]
    judge = scaled_object("prefmill-judge-haiku")["spec"]["triggers"][0]["metadata"]
    assert (generator["stream"], judge["stream"]) == ("GENERATE", "JUDGE")
    floor_in_batches = 1024 // 32
    assert int(generator["lagThreshold"]) < floor_in_batches, "a lane without workers wakes one"
    assert int(judge["lagThreshold"]) < floor_in_batches

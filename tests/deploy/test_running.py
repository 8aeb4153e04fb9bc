"""The local overlay as processes: every probe green, a run through the API to its end."""

import json
import re
import urllib.request
from collections import Counter
from typing import Any

import pytest

from prefmill.contracts.channels import CHANNELS

from .api import Api
from .cluster import Cluster, load
from .conftest import RENDERED
from .connections import Watcher
from .policies import allowed

pytestmark = pytest.mark.slow

RECIPE: dict[str, Any] = {
    "name": "through-the-api",
    "seed": 3,
    "source": {"inline": [f"What is {n} times seven, and why?" for n in range(200)]},
    "models": ["river", "stone"],
    "generate": {"params": {"max_tokens": 64}},
    "judges": ["owl"],
    "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    "output": {"formats": ["raw", "trl"]},
}


def labels(cluster: Cluster, app: str) -> dict[str, str]:
    found = cluster.of("Deployment", "StatefulSet", "Job")
    templates = [w["spec"]["template"]["metadata"]["labels"] for w in found]
    return next(each for each in templates if each["app.kubernetes.io/name"] == app)


def test_every_probe_of_every_container_passes(cluster: Cluster, services: None) -> None:
    running = [pod for pod in cluster.pods if pod.process.poll() is None]
    assert {pod.app for pod in running} == {
        "coordinator", "sink", "generator", "judge", "nats", "postgres"
    }  # fmt: skip
    for pod in running:
        for kind in ("startup", "readiness", "liveness"):
            passed, said = pod.probe(kind)
            assert passed, f"{pod.name} {kind}: {said}"


def test_the_api_describes_itself_and_the_wire_to_people_and_to_programs(
    cluster: Cluster, services: None
) -> None:
    def got(path: str) -> str:
        root = f"http://{cluster.address('prefmill-coordinator')}:8400"
        with urllib.request.urlopen(root + path, timeout=30) as answer:
            return answer.read().decode()

    assert "swagger" in got("/docs")
    assert "AsyncAPI" in got("/asyncapi")
    assert "/v1/runs" in json.loads(got("/openapi.json"))["paths"]
    wire = json.loads(got("/asyncapi.json"))
    assert wire["channels"].keys() == {channel.message.__name__ for channel in CHANNELS}


def test_a_run_goes_to_its_end_through_the_api(
    cluster: Cluster, api: Api, watcher: Watcher
) -> None:
    status = api("/v1/runs", {"recipe": RECIPE})
    watcher.look(cluster.pods)
    status = api.finish(status["id"], lambda: watcher.look(cluster.pods))
    assert status["state"] == "finished", status
    page = api(f"/v1/runs/{status['id']}/rows?limit=1000")
    assert len(page["rows"]) == 200
    metrics = {pod.app: pod for pod in cluster.pods}["generator"]
    assert metrics.probe("readiness")[0]


def test_every_line_of_a_service_s_log_is_json_and_a_batch_is_told_with_its_run(
    cluster: Cluster, api: Api
) -> None:
    run = api("/v1/runs", {"recipe": RECIPE | {"name": "told", "seed": 5}})
    assert api.finish(run["id"], lambda: None)["state"] == "finished"
    ours = [pod for pod in cluster.pods if pod.app in ("coordinator", "generator", "judge", "sink")]
    events = [json.loads(line) for pod in ours for line in pod.said().splitlines()]
    mine = [event for event in events if event.get("run") == run["id"]]
    states = [event["message"] for event in mine if "batch" not in event]
    assert states[0] == "run told: loading: revision 1"
    assert states[-1] == "run told: finished"
    answered: Counter[str] = Counter()
    for event in mine:
        if "batch" in event and (told := re.match(r"answered (\d+) cells", event["message"])):
            answered[event["lane"]] += int(told[1])
    assert answered == {"owl": 200, "river": 200, "stone": 200}


def test_the_networks_allow_what_was_seen_and_what_is_allowed_was_seen(
    cluster: Cluster, api: Api, watcher: Watcher
) -> None:
    status = api("/v1/runs", {"recipe": RECIPE | {"name": "networks", "seed": 4}})
    api.finish(status["id"], lambda: watcher.look(cluster.pods))
    policies = [d for d in load(RENDERED / "production.yaml") if d["kind"] == "NetworkPolicy"]
    between = {(a, b, port) for a, b, port in watcher.seen if b not in ("outside", "postgres")}
    for source, target, port in between:
        assert allowed(policies, labels(cluster, source), labels(cluster, target), port), (
            f"{source} was seen to connect to {target}:{port}, and may not"
        )
    # Postgres is outside in production: an address range, for those three alone.
    to_ledger = {source for source, target, _ in watcher.seen if target == "postgres"}
    assert to_ledger == {"coordinator", "sink"}
    apps = ["coordinator", "sink", "generator", "judge", "nats"]
    arrows = {
        (source, target, port)
        for source in apps
        for target in apps
        for port in (4222, 5432, 6222, 8081, 8222, 8400)
        if allowed(policies, labels(cluster, source), labels(cluster, target), port)
    }
    routes_of_three_servers = ("nats", "nats", 6222)
    assert arrows - {routes_of_three_servers} == between

"""A real Prometheus scrapes real services: every panel shows something, every rule can be asked."""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from prefmill.messaging.connection import connect, jetstream_of

from .monitored import Line, Prometheus, line, missing_programs, prometheus, until
from .told import documented, exported, metrics_in, queries, rules

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing_programs()), reason=missing_programs()),
]

ELSEWHERE = {
    "vllm": "workers that run models export these",
    "kubelet": "a cluster's nodes export these",
}
"""Panels that nothing here can fill."""

CALL = {"engine": "simulated", "price": {"input": 1.0, "output": 4.0}, "latency_ms": 40}

RECIPE: dict[str, Any] = {
    "name": "watched",
    "seed": 3,
    "source": {"inline": [f"What is {n} times seven, and why?" for n in range(400)]},
    "models": {
        name: {**CALL, "model": f"sim-{name}", "faults": {"empty": 0.03, "429": 0.05}}
        for name in ("river", "stone")
    },
    "generate": {"params": {"max_tokens": 64}},
    "judges": {
        name: {**CALL, "model": f"sim-{name}", "faults": {"malformed": 0.2, "500": 0.05}}
        for name in ("owl", "lark")
    },
    "judge": {"rubric": {"ultrafeedback": ["honesty", "helpfulness"]}},
    "limits": {"cost_usd": 1000},
    "output": {"formats": ["raw"]},
}


def slowly(models: dict[str, Any]) -> dict[str, Any]:
    """The same models, at two seconds an answer."""
    return {name: {**model, "latency_ms": 2000} for name, model in models.items()}


AGAIN: dict[str, Any] = RECIPE | {
    "name": "again",
    "source": {"inline": [f"What is {n} times seven, and why?" for n in range(4000)]},
    "models": slowly(RECIPE["models"]),
    "judges": slowly(RECIPE["judges"]),
}
"""Equal requests under another name, which are reused, and more that keep the lanes at work for
minutes: agreement is looked at once a minute, in runs that go on."""


class Watched(NamedTuple):
    """Services that have done some of everything, and the Prometheus that watched them."""

    line: Line
    prometheus: Prometheus


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with line(folder) as running, prometheus(folder, running.targets) as prom:
        first = running.api("/v1/runs", {"recipe": RECIPE})
        asyncio.run(_garbage(running.nats_url))
        running.api.finish(first["id"], lambda: None)
        running.api("/v1/runs", {"recipe": AGAIN})
        until(lambda: prom.query("max(prefmill_agreement_texts) > 0"), "agreement", 100)
        until(lambda: prom.query('prefmill_exports{state="written"} > 0'), "an export")
        yield Watched(running, prom)


async def _garbage(url: str) -> None:
    """A reply that nobody can read: the sink buries it."""
    nc = await connect(url, "test")
    await jetstream_of(nc).publish("results.v1.generated", b"not a reply")
    await nc.close()


def asked(expression: str) -> str:
    """The query as Grafana sends it, all runs and lanes chosen."""
    expression = expression.replace("$__rate_interval", "2m")
    return expression.replace("$run", ".+").replace("$lane", ".+")


def test_every_panel_shows_data(watched: Watched) -> None:
    for query in queries():
        if query.of in ELSEWHERE:
            continue
        expression = asked(query.expression)
        until(
            lambda expression=expression: watched.prometheus.query(expression),
            f"data in {query.dashboard}, {query.panel}: {expression}",
            20,
        )


def test_panels_said_to_be_exempt_ask_only_for_what_others_export(watched: Watched) -> None:
    exempt = [query for query in queries() if query.of]
    assert {query.of for query in exempt} == ELSEWHERE.keys()
    for query in exempt:
        watched.prometheus.query(asked(query.expression))
        for metric in metrics_in(query.expression):
            assert metric.startswith(query.of), query


def test_every_rule_can_be_evaluated_and_has_something_to_go_by(watched: Watched) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        watched.prometheus.query(rule["expr"])
        for metric in metrics_in(rule["expr"]) - recorded:
            if not metric.startswith("kubelet"):
                found = watched.prometheus.query(f'{{__name__=~"{metric}(_count)?"}}')
                assert found, f"{rule.get('alert')}: {metric} is not exported"
    for name in recorded:
        until(lambda name=name: watched.prometheus.query(name), name, 20)


def test_a_line_in_good_order_raises_only_the_alert_of_its_dead_letter(watched: Watched) -> None:
    firing = watched.prometheus.query('ALERTS{alertstate="firing"}')
    assert {each["metric"]["alertname"] for each in firing} <= {"PrefmillDeadLetters"}


def test_every_metric_is_documented_and_every_documented_one_exported(watched: Watched) -> None:
    texts = [watched.line.metrics(name) for name in watched.line.targets]
    assert set().union(*map(exported, texts)) == documented()


def test_no_label_holds_the_id_of_a_batch_or_a_row(watched: Watched) -> None:
    allowed = {
        "__name__", "aspect", "direction", "instance", "job", "judge", "kind", "lane", "le",
        "model", "name", "reason", "result", "run", "scope", "service", "sign", "state",
        "status", "stream",
    }  # fmt: skip
    series = watched.prometheus.query('{__name__=~"prefmill_.+"}')
    assert {label for each in series for label in each["metric"]} <= allowed
    assert len(series) < 2000


def test_the_coordinator_tells_the_same_as_its_api(watched: Watched) -> None:
    runs = {run["name"]: run for run in watched.line.api("/v1/runs")}
    slots = {slot["alias"]: slot for slot in runs["watched"]["slots"]}
    found = watched.prometheus.query('prefmill_run_cells_total{run="watched"}')
    told = {(s["metric"]["name"], s["metric"]["result"]): float(s["value"][1]) for s in found}
    assert told == {
        (name, result): slots[name][result] for name in slots for result in ("done", "failed")
    }
    costs = watched.prometheus.query('sum(prefmill_run_cost_usd_total{run="watched"})')
    assert float(costs[0]["value"][1]) == pytest.approx(runs["watched"]["cost_usd"])

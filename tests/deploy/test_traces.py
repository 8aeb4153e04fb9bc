"""Traces of a run in processes of their own, as a collector gets them over OTLP/HTTP."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prefmill.messaging import traces

from .collector import Collector, Span, collector
from .processes import line

ROWS = 40
RECIPE: dict[str, Any] = {
    "name": "traced",
    "seed": 5,
    "source": {"inline": [f"Say something of the number {n}." for n in range(ROWS)]},
    "models": {name: {"engine": "simulated", "model": f"sim-{name}"} for name in ("a", "b")},
    "judges": {"j": {"engine": "simulated", "model": "sim-j"}},
    "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
    "output": {"formats": ["raw"]},
}


def traced_run(folder: Path, **env: str) -> Collector:
    """All spans of one run of four processes."""
    with collector() as (endpoint, got):
        with line(folder, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **env) as started:
            for name in ("coordinator", "sink", "generator", "judge"):
                started.start(name)
            started.until_up(workers=2)
            run = started.api("/v1/runs", {"recipe": RECIPE})
            status = started.api.finish(run["id"], lambda: None)
            assert status["state"] == "finished", status
        return got


@pytest.mark.slow
def test_each_batch_is_one_trace_from_its_plan_to_its_rows_across_processes(tmp_path: Path) -> None:
    got = traced_run(tmp_path)
    assert got.paths == {"/v1/traces"}
    found = got.by_trace()
    submitted = next(span for span in got.spans if span.name == "submit")
    batches = {trace: spans for trace, spans in found.items() if trace != submitted.trace}
    assert len(batches) == 6, "40 rows: two batches for each model, two for the judge"
    kinds = [_check(spans, submitted) for spans in batches.values()]
    assert sorted(kinds) == ["generate"] * 4 + ["judge"] * 2
    calls = [span for span in got.spans if span.name == "call"]
    assert len(calls) == 3 * ROWS
    assert all(span.attributes["gen_ai.usage.output_tokens"] > 0 for span in calls)


def _check(spans: list[Span], submitted: Span) -> str:
    """One trace: each step the child of the one before, in time, by the service it belongs to."""
    calls = [span for span in spans if span.name == "call"]
    plan, publish, work, store = steps = [span for span in spans if span.name != "call"]
    worker = {"generate": "prefmill-generator", "judge": "prefmill-judge"}[work.name]
    assert [(span.name, span.service) for span in steps] == [
        ("plan", "prefmill-coordinator"),
        ("publish", "prefmill-coordinator"),
        (work.name, worker),
        ("store", "prefmill-sink"),
    ]
    assert [span.parent for span in steps] == [b"", plan.id, publish.id, work.id]
    assert {span.parent for span in calls} == {work.id}
    assert plan.links == (submitted.trace,)
    assert plan.ended <= publish.began <= work.began <= store.began <= store.ended
    assert all(work.began <= span.began <= span.ended <= work.ended for span in calls)
    assert len({span.attributes["prefmill.batch"] for span in steps}) == 1
    assert len(calls) == publish.attributes["prefmill.rows"] == work.attributes["prefmill.answered"]
    return work.name


@pytest.mark.slow
def test_what_is_not_sampled_is_sent_by_nobody_and_the_run_goes_on(tmp_path: Path) -> None:
    got = traced_run(tmp_path, OTEL_TRACES_SAMPLER="always_off")
    assert got.spans == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coordinator", "generator", "judge", "sink"])
def test_a_service_imports_nothing_to_trace_with_where_nobody_asks(name: str) -> None:
    """FastAPI brings a part of the API with it; what makes and sends spans is not there."""
    program = (
        f"import sys, prefmill.{name}.app\n"
        "from prefmill.messaging import traces\n"
        "traces.start('x'); step = traces.begin('plan', row=1); step.end(); traces.finish()\n"
        "assert step is traces.SILENT and step.headers == {}\n"
        "names = ('opentelemetry.sdk', 'opentelemetry.exporter', 'opentelemetry.trace')\n"
        f"names = names[:2 if '{name}' == 'coordinator' else 3]\n"
        "print([name for name in sys.modules if name.startswith(names)])"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=plain, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("env", "wanted", "said"),
    [
        ({}, "", ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "otlp", ""),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, "otlp", ""),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp", ""),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console", ""),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, "", ""),
        ({"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, "", ""),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "", "it can be otlp or console"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "",
            "by http/protobuf (port 4318) here, not by grpc",
        ),
    ],
)
def test_the_standard_variables_say_whether_and_where(
    env: dict[str, str], wanted: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert traces.exporter_wanted(env) == wanted
    assert said in caplog.text
    assert bool(said) == bool(caplog.text)


@pytest.mark.slow
def test_a_collector_that_is_not_there_holds_up_no_end() -> None:
    program = (
        "import time\nfrom prefmill.messaging import traces\n"
        "traces.start('x'); assert traces.traced()\n"
        "for n in range(100): traces.begin('plan', row=n).end()\n"
        "began = time.monotonic(); traces.finish()\n"
        "print(time.monotonic() - began)"
    )
    env = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 10
    assert time.monotonic() - began < 30

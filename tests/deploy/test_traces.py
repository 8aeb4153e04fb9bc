"""Traces of a run in processes of their own, as a collector gets them over OTLP/HTTP."""

import gzip
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from prefmill.messaging import traces

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


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    links: tuple[bytes, ...]
    began: int
    ended: int
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What a collector has been sent."""

    spans: list[Span] = field(default_factory=list[Span])
    paths: set[str] = field(default_factory=set[str])

    def take(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _plain(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_span(service, span) for span in scope.spans]

    def by_trace(self) -> dict[bytes, list[Span]]:
        found: defaultdict[bytes, list[Span]] = defaultdict(list)
        for span in sorted(self.spans, key=lambda span: span.began):
            found[span.trace].append(span)
        return found


def _plain(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def _span(service: str, span: Any) -> Span:
    return Span(
        service,
        span.name,
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        tuple(link.trace_id for link in span.links),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _plain(span.attributes),
    )


@contextmanager
def collector() -> Generator[tuple[str, Collector]]:
    """An OTLP/HTTP receiver; its address, and what it got."""
    got = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            zipped = self.headers.get("Content-Encoding") == "gzip"
            got.take(self.path, gzip.decompress(body) if zipped else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """It is quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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

"""A collector of traces: an OTLP/HTTP receiver on this machine."""

import gzip
import threading
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


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

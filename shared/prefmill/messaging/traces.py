"""Traces: one for each batch, from its plan to its rows in the ledger, by OpenTelemetry.

Comes in: the standard OTEL_… variables. Goes out: spans, to whom the variables name; W3C trace
context, in the headers of messages. Where nobody asks for traces nothing is imported, and every
step is `SILENT`.
"""

import logging
import os
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, final

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

log: Final = logging.getLogger("prefmill.traces")

Headers = Mapping[str, str]
"""W3C trace context (`traceparent`, `tracestate`) of a step, as messages carry it."""

NOWHERE: Final[Headers] = MappingProxyType({})
"""The context of a step that nobody traces."""

Part = Literal["internal", "server", "client", "producer", "consumer"]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LAST_WORDS_S: Final = 5.0


class Step:
    """A step that nobody traces: everything about it costs nothing."""

    headers: Headers = NOWHERE
    """What a message carries so that the next step is this one's child."""
    recorded: bool = False
    """Whether details of it are worth the while."""

    def end(self, problem: str = "", **attributes: Any) -> None:
        """The step is done, or has failed of `problem`; once."""


SILENT: Final = Step()


@final
class _Traced(Step):
    def __init__(self, span: "Span") -> None:
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._span = span
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span))
        self.headers = carrier
        self.recorded = span.is_recording()

    def end(self, problem: str = "", **attributes: Any) -> None:
        if self.recorded:
            self._span.set_attributes(attributes_of(attributes))
            if problem:
                from opentelemetry.trace import StatusCode

                self._span.set_status(StatusCode.ERROR, problem)
        self._span.end()


class _Running:
    """What this process traces with; nothing until `start`."""

    tracer: "Tracer | None" = None
    provider: "TracerProvider | None" = None


def traced() -> bool:
    """Whether this process traces."""
    return _Running.tracer is not None


def begin(
    name: str,
    parent: Headers = NOWHERE,
    /,
    *,
    part: Part = "internal",
    cause: Headers = NOWHERE,
    at_ns: int | None = None,
    **attributes: Any,
) -> Step:
    """A step that begins now, or at `at_ns` (of `time.time_ns`): the child of `parent`, or the
    first of a trace. `cause` is another trace that led to it. An attribute `row` is sent as
    `prefmill.row`; one with a dot in its name as it is."""
    tracer = _Running.tracer
    if tracer is None:
        return SILENT
    from opentelemetry.trace import Link, SpanKind, get_current_span

    links = [Link(get_current_span(_context(cause)).get_span_context())] if cause else []
    span = tracer.start_span(
        name,
        context=_context(parent),
        kind=SpanKind[part.upper()],
        links=links,
        start_time=at_ns,
        attributes=attributes_of(attributes),
    )
    return _Traced(span)


def attributes_of(named: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as they are sent; None is left out."""
    return {
        name if "." in name else f"prefmill.{name}": value
        for name, value in named.items()
        if value is not None
    }


def start(service: str, env: Mapping[str, str] = os.environ) -> None:
    """Trace if the environment asks for it. What it asks for and cannot have is logged in one
    line, and the service goes on without."""
    wanted = exporter_wanted(env)
    if not wanted:
        return
    try:
        _start(service, wanted, env)
    except ImportError as error:
        log.warning("no traces: %s; install prefmill-shared[otel]", error)


def finish() -> None:
    """Send what is left, for at most some seconds: no collector holds up the end of a service."""
    provider, _Running.provider, _Running.tracer = _Running.provider, None, None
    if provider is not None:
        last = threading.Thread(target=provider.shutdown, daemon=True)
        last.start()
        last.join(_LAST_WORDS_S)


def exporter_wanted(env: Mapping[str, str]) -> Literal["otlp", "console", ""]:
    """What the variables ask for. Unlike OpenTelemetry's own default, nothing is sent to
    localhost unless an endpoint or an exporter is named."""
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    named = env.get("OTEL_TRACES_EXPORTER") or ("otlp" if _any(env, _ENDPOINTS) else "none")
    if named == "console":
        return "console"
    if named != "otlp":
        if named != "none":
            log.warning("no traces: OTEL_TRACES_EXPORTER is %r; it can be otlp or console", named)
        return ""
    if (protocol := _any(env, _PROTOCOLS)) not in ("", "http/protobuf"):
        log.warning("no traces: OTLP goes by http/protobuf (port 4318) here, not by %s", protocol)
        return ""
    return "otlp"


def _any(env: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((env[name] for name in names if env.get(name)), "")


def _start(service: str, wanted: str, env: Mapping[str, str]) -> None:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = env.get("OTEL_SERVICE_NAME") or "service.name=" in env.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if named else {"service.name": service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter(wanted)))
    _Running.provider, _Running.tracer = provider, provider.get_tracer("prefmill")
    log.info("traces go to %s", _any(env, _ENDPOINTS) or wanted)


def _exporter(wanted: str) -> "SpanExporter":
    if wanted == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _context(headers: Headers) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(headers, Context())

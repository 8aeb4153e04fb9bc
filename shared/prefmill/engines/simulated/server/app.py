"""The server: routes, keys, models and faults. Low-level aiohttp, without router or middleware,
so that it costs little beside what it measures."""

import asyncio
import hmac
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from pydantic_core import to_json

from prefmill.engines.simulated.server.anthropic_wire import AnthropicWire
from prefmill.engines.simulated.server.calls import (
    BAD,
    NO_METHOD,
    NOT_FOUND,
    TOO_LARGE,
    TOO_MANY,
    UNAUTHORIZED,
    BadRequest,
    Call,
    Wire,
)
from prefmill.engines.simulated.server.openai_wire import OpenAIWire
from prefmill.engines.simulated.server.stats import Stats
from prefmill.engines.simulated.simulation import Outcome, Simulation

LARGEST_BODY: Final = 32 * 1024 * 1024
"""Bytes; what is larger is refused with 413."""

_JSON: Final = {"Content-Type": "application/json"}
_HTML: Final = {"Content-Type": "text/html"}
_EVENTS: Final = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
_PAGE: Final = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body></body></html>"
_OPENAI: Final = OpenAIWire()
_ANTHROPIC: Final = AnthropicWire()
_WORDS: Final = {
    "429": "Too many requests in a short time; slow down and try again.",
    "500": "The server failed while it worked on the request; try again.",
    "503": "The server has more to do than it can; try again later.",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask for what: no key lets all in, no models lets every name pass."""

    api_key: str = ""
    models: tuple[str, ...] = ()


Route = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class SimulatedServer:
    """Serves one simulation on both wires, and counts."""

    def __init__(self, simulation: Simulation, access: Access | None = None) -> None:
        self.stats = Stats()
        self._simulation = simulation
        self._access = access or Access()
        self._key = self._access.api_key.encode()
        self._names = frozenset(self._access.models)
        self._routes: dict[str, dict[str, Route]] = {
            "/v1/chat/completions": {"POST": self._openai},
            "/v1/messages": {"POST": self._anthropic},
            "/v1/models": {"GET": self._models},
            "/stats": {"GET": self._stats},
            "/stats/reset": {"POST": self._reset},
            "/healthz": {"GET": self._healthy},
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any HTTP request."""
        methods = self._routes.get(request.path)
        if methods is None:
            return self._elsewhere(request)
        route = methods.get(request.method)
        if route is None:
            allowed = {"Allow": ", ".join(methods)}
            said = f"{request.method} is not allowed here."
            return self._error(_wire_of(request), NO_METHOD, said, headers=allowed)
        return await route(request)

    async def _openai(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._counted(_OPENAI, request)

    async def _anthropic(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._counted(_ANTHROPIC, request)

    async def _counted(self, wire: Wire, request: web.BaseRequest) -> web.StreamResponse:
        self.stats.begins()
        try:
            return await self._complete(wire, request)
        finally:
            self.stats.ends()

    async def _complete(self, wire: Wire, request: web.BaseRequest) -> web.StreamResponse:
        if not self._may_enter(wire, request):
            return self._refuse(wire, UNAUTHORIZED, "The API key is not right.")
        try:
            call = wire.read(await request.read())
        except BadRequest as error:
            return self._refuse(wire, BAD, error.message, error.param)
        except web.HTTPRequestEntityTooLarge:
            most = LARGEST_BODY // 1024**2
            return self._refuse(wire, TOO_LARGE, f"The body is larger than {most} MB.")
        if self._names and call.asked.model not in self._names:
            said = f"The model `{call.asked.model}` does not exist here."
            return self._refuse(wire, NOT_FOUND, said, "model", call.asked.model)
        outcome = self._simulation.meet(call.asked)
        return await self._deliver(wire, request, call, outcome)

    async def _deliver(
        self, wire: Wire, request: web.BaseRequest, call: Call, outcome: Outcome
    ) -> web.StreamResponse:
        fault = outcome.fault
        status = wire.status(fault) if fault in _WORDS else 0
        named = str(status) if status else fault if fault in ("reset", "hang") else "200"
        self.stats.met(wire.name, call.asked.model, named, outcome)
        if status:
            return self._error(wire, status, _WORDS[fault], headers=self._wait_for(status))
        if fault == "hang":
            await asyncio.Event().wait()
        if outcome.delay_s:
            await asyncio.sleep(outcome.delay_s)
        if fault == "html":
            return web.Response(body=_PAGE, headers=_HTML)
        if call.stream:
            return await _stream(request, wire.events(call, outcome), fault)
        return await _whole(request, wire.answer(call, outcome), fault)

    def _wait_for(self, status: int) -> dict[str, str]:
        if status != TOO_MANY:
            return {}
        seconds = self._simulation.options.retry_after_s
        return {
            "Retry-After": str(math.ceil(seconds)),
            "Retry-After-Ms": str(round(seconds * 1000)),
        }

    def _may_enter(self, wire: Wire, request: web.BaseRequest) -> bool:
        if not self._key:
            return True
        return hmac.compare_digest(wire.key(request.headers).encode(), self._key)

    def _refuse(
        self, wire: Wire, status: int, said: str, param: str | None = None, model: str = ""
    ) -> web.Response:
        self.stats.refused(wire.name, status, model)
        return self._error(wire, status, said, param)

    def _error(
        self,
        wire: Wire,
        status: int,
        said: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        body = wire.error(status, said, param)
        return web.Response(body=body, status=status, headers={**_JSON, **(headers or {})})

    async def _models(self, request: web.BaseRequest) -> web.StreamResponse:
        wire = _wire_of(request)
        if not self._may_enter(wire, request):
            return self._error(wire, UNAUTHORIZED, "The API key is not right.")
        return web.Response(body=wire.models(self._served()), headers=_JSON)

    def _elsewhere(self, request: web.BaseRequest) -> web.Response:
        wire = _wire_of(request)
        name = request.path.removeprefix("/v1/models/")
        if name == request.path:
            return self._error(wire, NOT_FOUND, f"There is nothing at {request.path}.")
        if not self._may_enter(wire, request):
            return self._error(wire, UNAUTHORIZED, "The API key is not right.")
        if self._names and name not in self._names:
            return self._error(wire, NOT_FOUND, f"The model `{name}` does not exist here.", "model")
        return web.Response(body=to_json(wire.model(name)), headers=_JSON)

    def _served(self) -> Sequence[str]:
        return self._access.models or (self._simulation.options.model,)

    async def _stats(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=to_json(self.stats.document()), headers=_JSON)

    async def _reset(self, request: web.BaseRequest) -> web.StreamResponse:
        self.stats.reset()
        return await self._stats(request)

    async def _healthy(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b'{"status":"ok"}', headers=_JSON)


@asynccontextmanager
async def serving(server: SimulatedServer, host: str, port: int) -> AsyncGenerator[str]:
    """Serve until the block ends; yields the URL. OSError if the address cannot be had."""
    # An ended connection cancels its request, so that `hang` does not pile up.
    web_server = web.Server(
        server.handle, request_factory=_request, handler_cancellation=True, access_log=None
    )
    runner = web.ServerRunner(web_server, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        await site.start()
        bound = runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        yield f"http://{shown}:{bound[1]}"
    finally:
        await runner.cleanup()


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY
    )


def _wire_of(request: web.BaseRequest) -> Wire:
    """Routes that both wires have: Anthropic's clients name a version."""
    return _ANTHROPIC if "anthropic-version" in request.headers else _OPENAI


async def _whole(request: web.BaseRequest, body: bytes, fault: str) -> web.StreamResponse:
    if fault == "truncated":
        return web.Response(body=body[: len(body) * 2 // 3], headers=_JSON)
    if fault != "reset":
        return web.Response(body=body, headers=_JSON)
    response = web.StreamResponse(headers={**_JSON, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    return _dropped(request, response)


async def _stream(
    request: web.BaseRequest, events: Sequence[bytes], fault: str
) -> web.StreamResponse:
    response = web.StreamResponse(headers=_EVENTS)
    await response.prepare(request)
    cut = len(events) // 2 if fault in ("truncated", "reset") else len(events)
    for event in events[:cut]:
        await response.write(event)
    if fault == "reset":
        return _dropped(request, response)
    await response.write_eof()
    return response


def _dropped(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response

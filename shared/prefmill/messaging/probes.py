"""/healthz, /readyz and /metrics of a service, on a port of their own, only where one is set.

They answer from the moment the process lives, so that what it waits for can be asked: readiness
says why it is not ready in one line.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from prefmill.messaging.families import gauge
from prefmill.settings.service import ServiceSettings

if TYPE_CHECKING:
    from aiohttp import web

log: Final = logging.getLogger("prefmill.service")


class Probes:
    """What a service shows of itself. `unready` is given by the service once it is made: why it
    is not ready, empty if it is. `registry` is there if metrics can be asked for."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._host = settings.probe_host
        self._port = settings.probe_port
        self._runner: web.AppRunner | None = None
        self._waits = "starting"
        self._cut_off = ""
        self.unready: Callable[[], str] | None = None
        self.registry: Any = None if self._port is None else _registry()
        self.before_scrape: Callable[[], Awaitable[None]] | None = None
        """Looks at what the collectors of the registry are going to tell."""
        if self.registry is not None:
            self.registry.register(_Readiness(self))

    def wait(self, line: str) -> None:
        """Say what the service waits for, once; until it is ready, readiness repeats it."""
        if line != self._waits:
            self._waits = line
            log.warning("%s", line)

    def cut_off(self, line: str) -> None:
        """Say why the service has lost what it cannot do without; empty when it is back."""
        self._cut_off = line

    def problem(self) -> str:
        """Why the service is not ready; empty if it is."""
        if self._cut_off:
            return self._cut_off
        return self._waits if self.unready is None else self.unready()

    async def start(self) -> None:
        """Listen, if a port is set and nothing listens yet. OSError if the port is taken."""
        if self._port is None or self._runner is not None:
            return
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web

        return web.Response(text="ok\n")

    async def _readyz(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web

        problem = self.problem()
        return web.Response(status=503 if problem else 200, text=f"{problem or 'ready'}\n")

    async def _metrics(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        await self._look()
        body = generate_latest(self.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _look(self) -> None:
        """A look that fails leaves the rest of the metrics to be told."""
        try:
            if self.before_scrape is not None:
                await self.before_scrape()
        except Exception:
            log.exception("metrics: they are as seen last")


class _Readiness:
    """A collector: what /readyz says, as a number."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes

    def collect(self) -> Iterator[Any]:
        """One family."""
        ready = not self._probes.problem()
        yield gauge("prefmill_ready", "1 while the service is ready.", [], [([], ready)])


def _registry() -> Any:
    from prometheus_client import (
        CollectorRegistry,
        GCCollector,
        PlatformCollector,
        ProcessCollector,
    )

    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry

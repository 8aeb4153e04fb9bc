"""/healthz, /readyz and /metrics of a worker, on a port of their own, only where one is set."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prefmill.messaging.worker import Worker

if TYPE_CHECKING:
    from aiohttp import web


class Probes:
    """Answers as long as the process lives, also while it drains."""

    def __init__(self, worker: Worker, host: str, port: int, registry: Any) -> None:
        self._worker = worker
        self._host = host
        self._port = port
        self._registry = registry
        self._runner: web.AppRunner | None = None
        registry.register(_Gauges(worker))

    async def start(self) -> None:
        """Listen. OSError if the port is taken."""
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

        unready = self._worker.unready()
        return web.Response(status=503 if unready else 200, text=f"{unready or 'ready'}\n")

    async def _metrics(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Gauges:
    """Reads the worker when it is scraped, so that nothing is counted on the hot path."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        answered = CounterMetricFamily("prefmill_cells", "Cells answered.", labels=["lane"])
        names = ("slots", "busy", "ready", "held_batches")
        gauges = {
            name: GaugeMetricFamily(f"prefmill_lane_{name}", f"Lane: {name}.", labels=["lane"])
            for name in names
        }
        for lane in self._worker.lanes:
            served = lane.served()
            ready = served.health == "ready"
            answered.add_metric([served.slug], lane.answered)
            values = (served.slots, served.busy, float(ready), lane.loop.held)
            for name, value in zip(names, values, strict=True):
                gauges[name].add_metric([served.slug], value)
        yield answered
        yield from gauges.values()

"""How a service runs: FastStream's life cycle on uvloop, from the first connection to exit 0."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable
from typing import Any, Final

import uvloop
from faststream import FastStream
from faststream.nats import NatsBroker

from prefmill.contracts.channels import LANES, WITHDRAWN
from prefmill.messaging.connection import connection_options, wait_for_server
from prefmill.messaging.errors import NatsUnavailable
from prefmill.messaging.lane import CellWork
from prefmill.messaging.probes import Probes
from prefmill.messaging.process import OwnProcess
from prefmill.messaging.worker import Worker
from prefmill.plugins.errors import RecipeError
from prefmill.settings.deployed import served
from prefmill.settings.service import ServiceSettings, WorkerSettings

_POLL_S: Final = 0.05


def nats_broker(settings: ServiceSettings, name: str, **more: Any) -> NatsBroker:
    """FastStream's broker, set up to outlive a restart of the server. `more` goes to it."""
    return NatsBroker(settings.nats_url.split(","), logger=None, **connection_options(name), **more)


def worker_app(
    work: CellWork, settings: WorkerSettings, process: OwnProcess | None = None
) -> FastStream:
    """A worker as a FastStream application: announcements in, life cycle around, probes beside."""
    registry = _registry() if settings.probe_port is not None else None
    broker = nats_broker(settings, f"prefmill-{work.kind}", middlewares=_middlewares(registry))
    worker = Worker(work, settings, broker, served(settings, work.kind), process)
    broker.subscriber(LANES.subject)(worker.lanes_opened)
    broker.subscriber(WITHDRAWN.subject)(worker.batches_withdrawn)
    app = FastStream(broker, logger=None, after_startup=[worker.start], on_shutdown=[worker.drain])
    if process is not None:
        process.stop = app.exit
    if settings.probe_port is not None:
        probes = Probes(worker, settings.probe_host, settings.probe_port, registry)
        app.on_startup(probes.start)
        app.after_shutdown(probes.stop)
    return app


def _registry() -> Any:
    from prometheus_client import CollectorRegistry

    return CollectorRegistry()


def _middlewares(registry: Any) -> tuple[Any, ...]:
    if registry is None:
        return ()
    from faststream.nats.prometheus import NatsPrometheusMiddleware

    return (NatsPrometheusMiddleware(registry=registry),)


def serve_worker(work: CellWork, settings: WorkerSettings) -> None:
    """Be a worker in a process of its own. Leaves by SystemExit 1, with one line, when NATS is
    not there; with exit code 1 when an engine that runs in processes of its own has died."""
    process = OwnProcess()
    serve(settings, lambda: worker_app(work, settings, process), process.leave)


def serve(
    settings: ServiceSettings,
    build: Callable[[], FastStream],
    leave: Callable[[], None] = lambda: None,
) -> None:
    """Run what `build` makes, inside a fresh loop, until SIGTERM or SIGINT. Leaves by SystemExit
    with one line when NATS is not there. `leave` is called when it has ended, in the loop."""
    settle_memory()
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, build, leave))
    except (NatsUnavailable, RecipeError) as error:
        sys.exit(f"error: {error}")


def settle_memory() -> None:
    """Take what was imported out of the garbage collector's sight, and have it look seldom: a
    service makes many small objects and hardly a cycle. Saves a tenth of its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _serve(
    settings: ServiceSettings, build: Callable[[], FastStream], leave: Callable[[], None]
) -> None:
    await wait_for_server(settings.nats_url, settings.nats_wait_s)
    await build().run(sleep_time=_POLL_S)
    leave()

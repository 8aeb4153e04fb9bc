"""How a service runs: FastStream's life cycle on uvloop, from the first connection to exit 0."""

import asyncio
import gc
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

import uvloop
from faststream import FastStream
from faststream.nats import NatsBroker, NatsSecurity, NatsToken, NatsUserPassword
from nats.aio.client import Client, ErrorCallback
from nats.errors import ConnectionClosedError, ConnectionReconnectingError
from nats.errors import Error as NatsError

from prefmill.contracts.channels import LANES, WITHDRAWN
from prefmill.contracts.work import LaneKind
from prefmill.messaging.cellwork import CellWork
from prefmill.messaging.connection import (
    addresses_of,
    connection_options,
    credentials_of,
    tls_context,
    wait_for_server,
)
from prefmill.messaging.entry import shut_out, wait_for_entry
from prefmill.messaging.errors import NatsUnavailable
from prefmill.messaging.lane_metrics import LaneMetrics
from prefmill.messaging.logs import end, set_up_logging
from prefmill.messaging.probes import Probes
from prefmill.messaging.process import OwnProcess
from prefmill.messaging.traces import finish as finish_traces
from prefmill.messaging.traces import start as start_traces
from prefmill.messaging.worker import Worker, connection_of
from prefmill.plugins.errors import RecipeError
from prefmill.settings.deployed import served
from prefmill.settings.service import ServiceSettings, WorkerSettings
from prefmill.settings.unset import Misconfigured, unset

log: Final = logging.getLogger("prefmill.service")

_POLL_S: Final = 0.05
_TOLD_S: Final = 60.0
_SERVICE: Final[dict[LaneKind, str]] = {"generate": "generator", "judge": "judge"}


class _Broker(NatsBroker):
    """Comes back after whatever a server said, and ends although the server is away, then without
    a goodbye."""

    def _log_connection_broken(self, error_cb: ErrorCallback | None = None) -> ErrorCallback:
        """FastStream raises what it takes for final, as a refusal or a time-out of the greeting.
        Once connected, that would end nats-py's attempts to reconnect, and nobody would know."""
        report = super()._log_connection_broken(error_cb)

        async def report_all(error: Exception) -> None:
            try:
                await report(error)
            except NatsError:
                if not self.config.connection_state:
                    raise

        return report_all

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        with suppress(ConnectionReconnectingError, ConnectionClosedError):
            await super().stop(exc_type, exc_val, exc_tb)


def nats_broker(
    settings: ServiceSettings, name: str, probes: Probes | None = None, **more: Any
) -> NatsBroker:
    """FastStream's broker, set up to outlive a restart of the server. `more` goes to it."""
    options = connection_options(name, probes and probes.wait)
    options["security"] = _security(settings)
    return _Broker(addresses_of(settings.nats_url), logger=None, **options, **more)


def _security(settings: ServiceSettings) -> NatsSecurity:
    """Who this service is, and whom it trusts."""
    trusted = settings.nats_ca and tls_context(settings.nats_ca)
    match credentials_of(settings.nats_url):
        case {"user": user, "password": password}:
            return NatsUserPassword(user, password, ssl_context=trusted)
        case {"token": token}:
            return NatsToken(token, ssl_context=trusted)
        case _:
            return NatsSecurity(ssl_context=trusted)


def worker_app(
    work: CellWork,
    settings: WorkerSettings,
    process: OwnProcess | None = None,
    probes: Probes | None = None,
) -> FastStream:
    """A worker as a FastStream application: announcements in, life cycle around, probes beside."""
    probes = probes or Probes(settings)
    name = f"prefmill-{_SERVICE[work.kind]}"
    broker = nats_broker(settings, name, probes, middlewares=_middlewares(probes.registry))
    worker = Worker(work, settings, broker, served(settings, work.kind), process)
    broker.subscriber(LANES.subject)(worker.lanes_opened)
    broker.subscriber(WITHDRAWN.subject)(worker.batches_withdrawn)
    app = FastStream(broker, logger=None, after_startup=[worker.start], on_shutdown=[worker.drain])
    if process is not None:
        process.stop = app.exit
    if probes.registry is not None:
        probes.registry.register(LaneMetrics(worker))

    @app.after_startup
    def started() -> None:
        probes.unready = worker.unready

    app.on_startup(probes.start)
    app.after_shutdown(probes.stop)
    return app


def _middlewares(registry: Any) -> tuple[Any, ...]:
    if registry is None:
        return ()
    from faststream.nats.prometheus import NatsPrometheusMiddleware

    return (NatsPrometheusMiddleware(registry=registry),)


def serve_worker(work: CellWork, settings: WorkerSettings) -> None:
    """Be a worker in a process of its own. Leaves by SystemExit 1, with one line, when NATS is
    not there; with exit code 1 when an engine that runs in processes of its own has died."""
    process = OwnProcess()
    serve(
        f"prefmill-{_SERVICE[work.kind]}",
        settings,
        lambda probes: worker_app(work, settings, process, probes),
        process,
        _fault(settings, work.kind),
    )


def _fault(settings: WorkerSettings, kind: LaneKind) -> str:
    """What a worker's settings name that cannot be served."""
    try:
        served(settings, kind)
    except RecipeError as error:
        return str(error)
    return ""


def serve(
    name: str,
    settings: ServiceSettings,
    build: Callable[[Probes], FastStream],
    process: OwnProcess | None = None,
    fault: str = "",
    ends: tuple[type[Exception], ...] = (),
) -> None:
    """Run what `build` makes, inside a fresh loop, until SIGTERM or SIGINT; traces call it `name`.
    With a `fault` of its settings it only says so for a while, then ends. Leaves by SystemExit
    with one line then, when NATS is not there, and at an error that `ends` it; with exit code 1, at
    once, when NATS does not let the service in any more."""
    settle_memory()
    set_up_logging(settings.log_level, settings.log_format)
    start_traces(name)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, build, process or OwnProcess(), fault))
    except (NatsUnavailable, RecipeError, Misconfigured, *ends) as error:
        end(str(error), settings.log_format)


def settle_memory() -> None:
    """Take what was imported out of the garbage collector's sight, and have it look seldom: a
    service makes many small objects and hardly a cycle. Saves a tenth of its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _serve(
    settings: ServiceSettings,
    build: Callable[[Probes], FastStream],
    process: OwnProcess,
    fault: str,
) -> None:
    probes = Probes(settings)
    await probes.start()
    await _tell(fault or unset(os.environ), settings, probes)
    await wait_for_server(settings.nats_url, settings.nats_wait_s, probes.wait)
    await wait_for_entry(settings.nats_url, settings.nats_wait_s, settings.nats_ca, probes.wait)
    app = build(probes)
    _end_when_shut_out(app, settings.nats_url, probes, process)
    await app.run(sleep_time=_POLL_S)
    await probes.stop()
    finish_traces()
    process.leave()


async def _tell(fault: str, settings: ServiceSettings, probes: Probes) -> None:
    """A process cannot be given other settings: say what is wrong with them for a while by log and
    readiness, then end, to be started again with what is there then."""
    if not fault:
        return
    if settings.probe_port is not None:
        probes.wait(fault)
        await asyncio.sleep(min(settings.nats_wait_s, _TOLD_S))
    raise Misconfigured(fault)


def _end_when_shut_out(app: FastStream, url: str, probes: Probes, process: OwnProcess) -> None:
    """Nothing in hand can be delivered by a service that is refused, and it cannot learn another
    password: whoever started it starts it again, with what is right then."""
    watching: list[asyncio.Task[None]] = []

    async def watch(nc: Client) -> None:
        log.error("%s; the service ends", await shut_out(nc, url, probes.cut_off))
        process.fail()

    @app.after_startup
    async def begin() -> None:
        assert isinstance(app.broker, NatsBroker)
        watching.append(asyncio.create_task(watch(connection_of(app.broker))))

    @app.on_shutdown
    async def end() -> None:
        for task in watching:
            task.cancel()

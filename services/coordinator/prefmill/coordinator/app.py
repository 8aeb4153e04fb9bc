"""The coordinator as a process: the only place here that knows the real world."""

import asyncio
import logging
from typing import Any, Final

import uvicorn
from faststream import FastStream

from prefmill.contracts.channels import WORKERS
from prefmill.contracts.workers import WorkerAnnounced
from prefmill.coordinator.actions import Actions
from prefmill.coordinator.api import create_api
from prefmill.coordinator.conductor import Conductor
from prefmill.coordinator.fleet import Fleet
from prefmill.coordinator.metrics import RunMetrics
from prefmill.coordinator.observer import Observer
from prefmill.coordinator.settings import CoordinatorSettings
from prefmill.coordinator.status import ACTIVE
from prefmill.coordinator.streams import Streams
from prefmill.coordinator.tidying import DAY_S, tidy_on
from prefmill.ledger import planning, runs
from prefmill.ledger.database import Ledger, LedgerError, open_ledger
from prefmill.ledger.notices import listen
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.probes import Probes
from prefmill.messaging.service import nats_broker, serve
from prefmill.messaging.topology import topology_of
from prefmill.messaging.work import purge_work, results_drained
from prefmill.messaging.worker import connection_of
from prefmill.settings.deployed import read_deployed

log: Final = logging.getLogger("prefmill.coordinator")

STOPPED: Final = "stopped; its own command goes on with it"
"""Why a run is paused whose command ended before it did."""

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def main(settings: CoordinatorSettings | None = None) -> None:
    """Run until SIGTERM or SIGINT. Leaves by SystemExit with one line where it cannot begin."""
    settings = settings or CoordinatorSettings()
    serve(
        "prefmill-coordinator",
        settings,
        lambda probes: build(settings, probes),
        fault=_fault(settings),
        ends=(LedgerError,),
    )


def _fault(settings: CoordinatorSettings) -> str:
    if settings.host in LOOPBACK or settings.token is not None:
        return ""
    return f"to listen on {settings.host} a bearer token is needed: set PREFMILL_TOKEN"


class Server(uvicorn.Server):
    """Uvicorn without signal handlers: the service's own life cycle stops it."""

    def install_signal_handlers(self) -> None:
        """Leave the signals alone."""


def build(settings: CoordinatorSettings, probes: Probes) -> FastStream:
    """The coordinator with its life cycle."""
    broker = nats_broker(settings, "prefmill-coordinator", probes)
    app = FastStream(broker, logger=None)
    ledger = Ledger(settings.database_url)
    fleet = Fleet(grace_s=settings.worker_grace_s)
    deployed = read_deployed(settings.deployed)
    holder: dict[str, Any] = {}
    tasks: list[asyncio.Task[Any]] = []

    @broker.subscriber(WORKERS.subject)
    async def worker_announced(message: WorkerAnnounced) -> None:
        conductor: Conductor | None = holder.get("conductor")
        if conductor is not None:
            await conductor.note(message)

    @app.after_startup
    async def start() -> None:
        nc = connection_of(broker)
        await open_ledger(
            ledger, settings.database_wait_s, migrate=settings.migrate, told=probes.wait
        )
        streams = Streams(nc, ledger, topology_of(settings))
        await streams.bootstrap()
        if settings.reset_on_start:
            await reset(ledger, jetstream_of(nc), streams if settings.killed_before else None)
        if settings.pause_on_start:
            await pause(ledger)
        await streams.open(deployed.all_lanes())
        conductor = Conductor(settings, ledger, nc, streams, fleet, deployed)
        holder["conductor"] = conductor
        token = settings.token.get_secret_value() if settings.token else None
        api = create_api(Actions(conductor), token)
        config = uvicorn.Config(
            api,
            host=settings.host,
            port=settings.port,
            log_config=None,  # it logs as we do
            log_level="warning",
            lifespan="off",
            ws="none",
        )
        server = holder["server"] = Server(config)
        work = (
            conductor.run(),
            conductor.reconcile(),
            listen(ledger, conductor.wake),
            tidy_on(ledger, conductor.uploads, settings.upload_days * DAY_S),
            server.serve(),
        )
        tasks.extend(asyncio.create_task(each) for each in work)
        if probes.registry is not None:
            observer = Observer(conductor)
            probes.registry.register(RunMetrics(observer))
            probes.before_scrape = observer.look
        probes.unready = conductor.unready

    @app.on_shutdown
    async def stop() -> None:
        if "server" in holder:  # else it is told to end while it starts
            holder["server"].should_exit = True
        for task in tasks[:-1]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ledger.close()

    return app


async def pause(ledger: Ledger) -> None:
    """Let runs that were stopped wait: whoever asks for another run, or for a dataset, has not
    agreed to pay for these."""
    async with ledger.begin() as connection:
        for run in await runs.runs(connection):
            if run.state in ACTIVE:
                await runs.update_run(connection, run.id, state="paused", reason=STOPPED)


async def reset(ledger: Ledger, js: Any, killed: Streams | None = None) -> None:
    """At a start at which no worker can hold a batch: wait until what was answered is stored,
    clear the work streams, and have their batches asked again. Given the streams, workers were
    killed: what had been handed to them is counted."""
    while not await results_drained(js):  # noqa: ASYNC110 - the server tells only when asked
        await asyncio.sleep(0.01)
    async with ledger.begin() as connection:
        out = await planning.published_batches(connection)
        lanes = await runs.lane_specs(connection)
    begun = await killed.delivered(out, lanes) if killed else []
    await purge_work(js)
    async with ledger.begin() as connection:
        await runs.count_asked_again(connection, begun)
        await planning.reopen(connection, [batch.id for batch in out])


if __name__ == "__main__":
    main()

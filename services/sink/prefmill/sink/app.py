"""The sink as a process: the only place here that knows the real world."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from faststream import FastStream

from prefmill.ledger.database import Ledger, LedgerError, open_ledger
from prefmill.ledger.exports import claim_export
from prefmill.messaging.connection import jetstream_of
from prefmill.messaging.probes import Probes
from prefmill.messaging.pull import PullLoop
from prefmill.messaging.service import nats_broker, serve
from prefmill.messaging.topology import DEAD_STREAM, RESULTS_STREAM, SINK, bootstrap, topology_of
from prefmill.messaging.worker import connection_of
from prefmill.sink.counts import Counts
from prefmill.sink.export import PASSING, Exporter
from prefmill.sink.handlers import Handlers
from prefmill.sink.metrics import SinkMetrics
from prefmill.sink.observer import Observer
from prefmill.sink.settings import SinkSettings

log: Final = logging.getLogger("prefmill.sink")

_FETCH_AGE_S: Final = 15.0


def main(settings: SinkSettings | None = None) -> None:
    """Run until SIGTERM or SIGINT. Leaves by SystemExit with one line where it cannot begin."""
    settings = settings or SinkSettings()
    serve("prefmill-sink", settings, lambda probes: build(settings, probes), ends=(LedgerError,))


def build(settings: SinkSettings, probes: Probes) -> FastStream:
    """The sink with its life cycle."""
    broker = nats_broker(settings, "prefmill-sink", probes)
    app = FastStream(broker, logger=None)
    ledger = Ledger(settings.database_url)
    counts = Counts() if probes.registry is not None else None
    handlers = Handlers(ledger, settings.pace_s, counts)
    exporter = Exporter(ledger, settings.exports_dir, counts, settings.export_stale_s / 3)
    loops: list[PullLoop] = []
    tasks: list[asyncio.Task[None]] = []

    @app.after_startup
    async def start() -> None:
        nc = connection_of(broker)
        await open_ledger(
            ledger, settings.database_wait_s, migrate=settings.migrate, told=probes.wait
        )
        await bootstrap(jetstream_of(nc), topology_of(settings))

        def pull(stream: str, handle: Any, linger: float) -> PullLoop:
            return PullLoop(
                nc,
                stream,
                SINK,
                lambda: settings.replies_at_once,
                handle,
                ack_wait=settings.ack_wait_s,
                linger=linger,
                most_deliveries=None,
            )

        loops.append(pull(RESULTS_STREAM, handlers.replies, settings.linger_s))
        loops.append(pull(DEAD_STREAM, handlers.died, 0.0))
        tasks.extend(asyncio.create_task(loop.run()) for loop in loops)
        tasks.append(asyncio.create_task(_export_on(settings, ledger, exporter)))
        if counts is not None:
            observer = Observer(ledger, counts)
            probes.registry.register(SinkMetrics(observer))
            probes.before_scrape = observer.look
        probes.unready = lambda: _unready(loops)

    @app.on_shutdown
    async def stop() -> None:
        await asyncio.gather(*(loop.stop() for loop in loops))
        for task in tasks[len(loops) :]:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.gather(*tasks, return_exceptions=True)
        await ledger.close()

    return app


def _unready(loops: Sequence[PullLoop]) -> str:
    """Why results are not taken, in one line; empty if they are."""
    ill = [loop for loop in loops if not loop.healthy(_FETCH_AGE_S)]
    return f"cannot fetch results: {ill[0].trouble or 'not yet'}" if ill else ""


async def _export_on(settings: SinkSettings, ledger: Ledger, exporter: Exporter) -> None:
    """Make the exports that are asked for, one after another, for ever."""
    while True:
        try:
            async with ledger.begin() as connection:
                export = await claim_export(connection, settings.export_stale_s)
            if export is not None:
                await exporter.make(export)
                continue
        except PASSING as error:
            log.warning("exports wait for the ledger: %s", str(error).splitlines()[0])
        await asyncio.sleep(settings.export_tick_s)


if __name__ == "__main__":
    main()

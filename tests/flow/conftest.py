"""One real nats-server for all tests of the line; each test that wants it gets new streams."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from nats.aio.client import Client

from prefmill.cli.embedded import Home, Nats, start_nats
from prefmill.messaging.connection import connect, jetstream_of
from prefmill.messaging.topology import Topology, bootstrap
from prefmill.plugins.registry import forget

ACK_WAIT_S = 1.5
TOPOLOGY = Topology(ack_wait_s=ACK_WAIT_S)


class Server:
    """A nats-server that can be killed and started again on the same port and store."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._nats: Nats = start_nats(home, sync="10s")
        self.url = self._nats.url
        self._port = self._nats.port

    def kill(self) -> None:
        os.kill(self._nats.pid, signal.SIGKILL)
        while self._nats.poll() is None:
            time.sleep(0.005)

    def start(self) -> None:
        self._nats = start_nats(self._home, self._port, sync="10s")

    def start_again_if_killed(self) -> None:
        if self._nats.poll() is not None:
            self.start()

    def stop(self) -> None:
        self._nats.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Home(tmp_path_factory.mktemp("flow") / "home") as home:
        server = Server(home)
        yield server
        server.stop()


@pytest_asyncio.fixture
async def nc(server: Server) -> AsyncIterator[Client]:
    """A connection to a server with new, empty streams."""
    server.start_again_if_killed()
    client = await connect(server.url, "test")
    js = jetstream_of(client)
    for stream in await js.streams_info():
        await js.delete_stream(str(stream.config.name))
    await bootstrap(js, TOPOLOGY)
    yield client
    await client.close()


@pytest.fixture(scope="session", autouse=True)
def scripted_plugins() -> Iterator[str]:
    """The plugins under tests/flow/plugins, found as those of any installed distribution."""
    folder = str(Path(__file__).parent / "plugins")
    sys.path.append(folder)
    forget()
    yield folder
    sys.path.remove(folder)
    forget()

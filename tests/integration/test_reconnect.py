"""A connection to one server of several, when that server is gone."""

import asyncio
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from prefmill.cli.embedded.binaries import nats_program
from prefmill.messaging.connection import addresses_of, connect, credentials_of
from tests.integration.test_service_probes import free_port

USER = "users: [{user: judge, password: right}]"
TOKEN = "token: secret"


@contextmanager
def cluster(folder: Path, entry: str) -> Generator[list[tuple[int, subprocess.Popen[bytes]]]]:
    """Two servers that know of each other, and tell their clients so."""
    ports, routes = [free_port(), free_port()], [free_port(), free_port()]
    others = ", ".join(f"nats://127.0.0.1:{port}" for port in routes)
    with ExitStack() as stack:
        servers: list[tuple[int, subprocess.Popen[bytes]]] = []
        for port, route in zip(ports, routes, strict=True):
            config = folder / f"{port}.conf"
            config.write_text(
                f"host: 127.0.0.1\nport: {port}\nauthorization {{ {entry} }}\n"
                f"cluster {{ name: c, host: 127.0.0.1, port: {route}, routes: [{others}] }}\n"
            )
            process = subprocess.Popen([nats_program(), "-c", config], stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            servers.append((port, process))
        yield servers


@pytest.mark.parametrize(("entry", "who"), [(USER, "judge:right"), (TOKEN, "secret")])
async def test_a_client_is_let_in_by_a_server_that_it_has_only_heard_of(
    tmp_path: Path, entry: str, who: str
) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(message: Msg) -> None:
        heard.put_nowait(message.data)

    with cluster(tmp_path, entry) as ((port, first), (other, _)):
        teller = await connect(f"nats://{who}@127.0.0.1:{other}", "teller")
        hearer = await connect(f"nats://{who}@127.0.0.1:{port}", "hearer")
        await hearer.subscribe("here", cb=hear)  # pyright: ignore[reportUnknownMemberType]
        while len(hearer.servers) < 2:
            await hearer.flush()
        first.kill()
        first.wait()
        while heard.empty():
            await teller.publish("here", b"there")
            await asyncio.sleep(0.05)
        assert await heard.get() == b"there"
        await teller.close()
        await hearer.close()


def test_credentials_are_those_of_the_first_address_that_names_them() -> None:
    assert credentials_of("nats://a:1,nats://u:p@b:2") == {"user": "u", "password": "p"}
    assert credentials_of("nats://t@b:2") == {"token": "t"}
    assert credentials_of("nats://b:2") == {}
    assert addresses_of("nats://a:1,tls://u:p@b:2") == ["nats://a:1", "tls://b:2"]

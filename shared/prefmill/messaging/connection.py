"""Connections that outlive a restart of the server and complain in one line."""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import nats
from nats.aio.client import Client
from nats.errors import StaleConnectionError, UnexpectedEOF
from nats.js import JetStreamContext

from prefmill.messaging.errors import NatsUnavailable

log: Final = logging.getLogger("prefmill.nats")

_LOST: Final = "connection lost; reconnecting"
_LOSSES: Final = (UnexpectedEOF, StaleConnectionError, OSError)

Told = Callable[[str], None]
"""Is told, in one line, what is waited for."""

JETSTREAM_TIMEOUT_S: Final = 5.0
"""How long a publish or a question to JetStream waits for its answer."""


def connection_options(name: str, told: Told | None = None) -> dict[str, Any]:
    """Keyword arguments for `nats.connect` and `NatsBroker` alike: reconnects for ever, soon.
    Each client has an inbox prefix of its own, so that a server can keep them apart."""
    return {
        "name": name,
        "inbox_prefix": f"_INBOX.{name}",
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.2,
        "connect_timeout": 2,
        "ping_interval": 20,
        "error_cb": one_line_per_error(told),
        "reconnected_cb": _reconnected,
    }


async def connect(url: str, name: str, *, wait_s: float = 10.0, ca: Path | None = None) -> Client:
    """A raw connection. NatsUnavailable if no server answers within `wait_s` seconds."""
    await wait_for_server(url, wait_s)
    options = connection_options(name) | credentials_of(url)
    if ca is not None:
        options["tls"] = tls_context(ca)
    return await nats.connect(addresses_of(url), **options)  # pyright: ignore[reportUnknownMemberType]


def credentials_of(url: str) -> dict[str, str]:
    """`user` and `password`, or `token`, of the first of the comma-separated addresses that names
    them. Told apart from the addresses, they hold for the servers of a cluster that the client
    learns of later, too."""
    for place in map(urlsplit, url.split(",")):
        if place.username and place.password:
            return {"user": place.username, "password": place.password}
        if place.username:
            return {"token": place.username}
    return {}


def addresses_of(url: str) -> list[str]:
    """The comma-separated addresses, without what `credentials_of` tells."""
    return [
        urlunsplit(place._replace(netloc=place.netloc.rpartition("@")[2]))
        for place in map(urlsplit, url.split(","))
    ]


def jetstream_of(nc: Client) -> JetStreamContext:
    """JetStream over this connection; its questions time out after JETSTREAM_TIMEOUT_S."""
    return nc.jetstream(timeout=JETSTREAM_TIMEOUT_S)  # pyright: ignore[reportUnknownMemberType]


def tls_context(ca: Path) -> ssl.SSLContext:
    """Trusts servers that this authority vouches for. OSError if the file cannot be read."""
    return ssl.create_default_context(cafile=str(ca))


async def wait_for_server(url: str, wait_s: float, told: Told | None = None) -> None:
    """Return once a NATS server greets at one of the comma-separated addresses. Meanwhile `told`
    is told why it does not."""
    deadline = time.monotonic() + wait_s
    while True:
        problems = [await _greeting_problem(address) for address in url.split(",")]
        if not all(problems):
            return
        if time.monotonic() >= deadline:
            raise NatsUnavailable(
                f"no NATS server answers at {shown(url)} ({problems[0]}); start one, "
                "or set PREFMILL_NATS_URL to where it is"
            )
        if told is not None:
            told(f"waits for NATS at {shown(url)}: {problems[0]}")
        await asyncio.sleep(0.1)


def one_line_per_error(told: Told | None = None) -> Callable[[Exception], Awaitable[None]]:
    """An error callback that logs each kind of trouble once a minute, without a stack."""
    last: dict[str, float] = {}

    async def report(error: Exception) -> None:
        line = _LOST if isinstance(error, _LOSSES) else f"{type(error).__name__}: {error}"
        if time.monotonic() - last.get(line, -60.0) >= 60.0:
            last[line] = time.monotonic()
            log.warning("NATS: %s", line)
            if told is not None:
                told(f"NATS: {line}")

    return report


async def _greeting_problem(address: str) -> str:
    place = urlsplit(address.strip())
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(place.hostname, place.port or 4222)
            greeting = await reader.readline()
            writer.close()
    except OSError as error:
        return error.strerror or type(error).__name__
    return "" if greeting.startswith(b"INFO ") else "something else than NATS listens there"


def shown(url: str) -> str:
    """The addresses without user, password or token."""
    places = (urlsplit(address.strip()) for address in url.split(","))
    return ", ".join(f"nats://{place.hostname}:{place.port or 4222}" for place in places)


async def _reconnected() -> None:
    log.warning("NATS connection is back")

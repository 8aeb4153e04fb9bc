"""Whether a server lets this service in: at its start, and as long as it runs."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import nats
import nats.errors
from nats.aio.client import Client

from prefmill.messaging.connection import Told, credentials_of, shown, tls_context
from prefmill.messaging.errors import NatsUnavailable

_GLANCE_S: Final = 0.25
_PATIENCE_S: Final = 10.0
"""As long as this, another server of a cluster may still let in whom one has refused."""

_REFUSALS: Final = ("authorization", "revoked", "expired")
"""In what a server says to whom it does not know, or no longer."""


async def wait_for_entry(
    url: str, wait_s: float, ca: Path | None, told: Told | None = None
) -> None:
    """Return once a server lets this user in; at once where the address names none. NatsUnavailable
    if none does within `wait_s` seconds; meanwhile `told` is told why."""
    if "@" not in url and ca is None:
        return
    deadline = time.monotonic() + wait_s
    while refused := await _refusal(url, ca):
        line = f"NATS at {shown(url)} does not let this service in: {refused}"
        if time.monotonic() >= deadline:
            raise NatsUnavailable(
                f"{line}; the user and password of PREFMILL_NATS_URL must be the server's own"
            )
        if told is not None:
            told(line)
        await asyncio.sleep(1.0)


async def _refusal(url: str, ca: Path | None) -> str:
    """Why no connection is made, in one line; empty if one was."""
    silent: dict[str, Any] = {"allow_reconnect": False, "error_cb": _ignored, "connect_timeout": 5}
    try:
        if ca is not None:
            silent["tls"] = tls_context(ca)
        nc = await nats.connect(url.split(","), **silent)  # pyright: ignore[reportUnknownMemberType]
        await nc.close()
    except (nats.errors.Error, OSError) as error:
        return str(error) or type(error).__name__
    return ""


async def _ignored(_error: Exception) -> None:
    """It is raised as well."""


async def shut_out(nc: Client, url: str, told: Told, *, patience_s: float = _PATIENCE_S) -> str:
    """Return, in one line, why this connection is not coming back by itself: nats-py has closed it,
    as it does where a server that reloads its users revokes it, or every attempt to reconnect has
    been refused for `patience_s` seconds. `told` hears meanwhile that it is refused, and an empty
    line when it is not."""
    refused: float | None = None
    while not nc.is_closed:
        await asyncio.sleep(_GLANCE_S)
        if nc.is_connected or not _is_refusal(nc.last_error):
            refused = None
            told("")
            continue
        refused = refused or time.monotonic()
        told(_refused(nc, url))
        if time.monotonic() - refused >= patience_s:
            break
    return _refused(nc, url) if _is_refusal(nc.last_error) else _closed(nc, url)


def _is_refusal(error: Exception | None) -> bool:
    """Not of a certificate that has expired: a server's own, which is replaced there."""
    said = str(error).lower()
    return isinstance(error, nats.errors.Error) and any(word in said for word in _REFUSALS)


def _refused(nc: Client, url: str) -> str:
    user = credentials_of(url).get("user")
    who = f"user {user!r}" if user else "this service"
    return (
        f"NATS at {shown(url)} does not let {who} in any more ({nc.last_error}): set "
        "PREFMILL_NATS_URL to a user and password that it knows"
    )


def _closed(nc: Client, url: str) -> str:
    return f"the connection to NATS at {shown(url)} was closed ({nc.last_error})"

"""A message in hand: delivered, not yet acknowledged, kept alive by heartbeats."""

import asyncio
import json
import logging
import time
from typing import Any, Final, Protocol

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError

from prefmill.contracts.channels import DEAD
from prefmill.contracts.results import BatchDied
from prefmill.messaging.connection import JETSTREAM_TIMEOUT_S, jetstream_of
from prefmill.messaging.traces import NOWHERE, Headers

log: Final = logging.getLogger("prefmill.nats")

NATS_TROUBLE: Final = (nats.errors.Error, APIError, NoStreamResponseError, OSError, TimeoutError)
"""What a connection or a server can raise; all of it may pass."""

ACK_TRIES: Final = 12
_PAUSE_S: Final = 2.0
_DEAD_BYTES: Final = 900_000

Identity = tuple[int, int]
"""Stream sequence and time of storage: the same message, whatever its delivery."""


class Release(Protocol):
    """How a loop learns that a message is no longer in hand. `answered`: its work is done, but
    the server does not know."""

    def __call__(self, held: "Held", *, answered: bool = False) -> None: ...


class Held:
    """One delivery of one message. End it by `done`, `give_back` or `bury`, once."""

    __slots__ = (
        "_ack_tries",
        "_msg",
        "_nc",
        "_release",
        "data",
        "deliveries",
        "identity",
        "subject",
    )

    def __init__(self, nc: Client, msg: Msg, release: Release, ack_tries: int = ACK_TRIES) -> None:
        self._ack_tries = ack_tries
        self._nc = nc
        self._release = release
        self.subject: str = msg.subject
        self.data: bytes = msg.data
        self.redelivered(msg)

    def redelivered(self, msg: Msg) -> None:
        """The server delivered the same message anew: go on with the newer delivery."""
        self._msg = msg
        self.deliveries, self.identity = _delivery(msg.reply)

    @property
    def headers(self) -> Headers:
        """As it was published with."""
        return self._msg.headers or NOWHERE

    def age_s(self) -> float:
        """Seconds since the stream stored it, by two machines' clocks."""
        return time.time() - self.identity[1] / 1e9

    async def beat(self) -> None:
        """Tell the server that work on it goes on."""
        await self._nc.publish(self._msg.reply, b"+WPI")

    async def done(self) -> None:
        """Acknowledge, and wait until the server has it. Outlasts a restart of the server; if
        that fails too, a redelivery is acknowledged unseen."""
        self._release(self, answered=not await self._settle(b"+ACK"))

    async def give_back(self, delay: float = 0.0) -> None:
        """Let another have it, after `delay` seconds. Only for work that has not started."""
        self._release(self)
        payload = b"-NAK"
        if delay:
            payload += b" " + json.dumps({"delay": int(delay * 1e9)}).encode()
        await self._nc.publish(self._msg.reply, payload)

    async def bury(self, error: str) -> None:
        """Send it to the dead letters, then take it out of its stream."""
        log.error(
            "%s given up after %d deliveries: %s",
            self.subject,
            self.deliveries,
            error,
            extra=_about(self.data),
        )
        await jetstream_of(self._nc).publish(
            DEAD.subject + self.subject.partition(".")[0],
            self._obituary(error),
            timeout=JETSTREAM_TIMEOUT_S,
            stream=DEAD.stream,
        )
        self._release(self, answered=not await self._settle(b"+TERM"))

    def _obituary(self, error: str) -> bytes:
        died = BatchDied(
            batch=_batch_id(self.data),
            subject=self.subject,
            error=error,
            deliveries=self.deliveries,
            payload=self.data.decode("utf-8", "replace"),
        )
        body = died.json()
        if len(body) <= _DEAD_BYTES:
            return body
        note = f"{error} (its {len(self.data)} bytes are too many to be kept here)"
        return died.replace(payload="", error=note).json()

    async def _settle(self, verdict: bytes) -> bool:
        for attempt in range(self._ack_tries):
            try:
                await self._nc.request(self._msg.reply, verdict, timeout=_PAUSE_S)
            except nats.errors.ConnectionClosedError:
                break
            except NATS_TROUBLE:
                await asyncio.sleep(min(_PAUSE_S, 0.1 * 2**attempt))
            else:
                return True
        log.warning("%s: not acknowledged; it will come again", self.subject)
        return False


def _delivery(reply: str) -> tuple[int, Identity]:
    """Deliveries so far and identity, from `$JS.ACK.STREAM.CONSUMER.DELIVERIES.SEQ.CSEQ.TIME.N`,
    with a domain and an account before STREAM in the longer form (ADR-15)."""
    fields = reply.split(".")
    first = 4 if len(fields) == 9 else 6
    return int(fields[first]), (int(fields[first + 1]), int(fields[first + 3]))


def _batch_id(data: bytes) -> str | None:
    """The id of a batch or of the batch that a reply answers, where it can be read."""
    return _about(data).get("batch")


def _about(data: bytes) -> dict[str, Any]:
    """Run and batch of a message, as far as they can be read."""
    try:
        message = json.loads(data)
        return {"run": message.get("run"), "batch": str(message.get("batch") or message["id"])}
    except (ValueError, KeyError, AttributeError, TypeError):
        return {}

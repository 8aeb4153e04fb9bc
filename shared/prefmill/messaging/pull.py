"""The one pull loop: takes messages as there is room, keeps them alive, hands them on.

It asks JetStream for messages itself (one pull request on its own inbox, as ADR-13 describes it)
and never creates or changes a consumer. nats-py's `fetch` does the same, but cannot say whether an
empty answer came from a healthy consumer, a deleted one, or nowhere; readiness hangs on that.
"""

import asyncio
import json
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from prefmill.messaging.held import ACK_TRIES, NATS_TROUBLE, Held, Identity

log: Final = logging.getLogger("prefmill.nats")

MOST_DELIVERIES: Final = 5
"""A batch that comes once more than this is buried."""

_EXPIRES_S: Final = 30.0
_HEARTBEAT_S: Final = 1.0
_SILENCE_S: Final = 2.5
_LONGEST_PAUSE_S: Final = 2.0
_ANSWERED_KEPT: Final = 10_000


class PullLoop:
    """Pulls from one durable consumer until stopped.

    `room()` says how many messages may be taken now; call `wake()` when it may have grown.
    `handle(group)` gets one message or, with `linger` seconds, as many as came meanwhile; it may
    return before their work is done, but has to end each by `done`, `give_back` or `bury`.
    Meanwhile each is kept alive every third of `ack_wait` seconds. Messages come once at a time:
    a redelivery of one in hand is not handed on again. `most_deliveries` None never buries.
    """

    def __init__(
        self,
        nc: Client,
        stream: str,
        consumer: str,
        room: Callable[[], int],
        handle: Callable[[Sequence[Held]], Awaitable[None]],
        *,
        ack_wait: float,
        linger: float = 0.0,
        most_deliveries: int | None = MOST_DELIVERIES,
        ack_tries: int = ACK_TRIES,
    ) -> None:
        self._ack_tries = ack_tries
        self._nc = nc
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._where = f"{stream}/{consumer}"
        self._room = room
        self._handle = handle
        self._ack_wait = ack_wait
        self._linger = linger
        self._most_deliveries = most_deliveries
        self._held: dict[Identity, Held] = {}
        self._arrived: deque[Held] = deque()
        self._answered: OrderedDict[Identity, None] = OrderedDict()
        self._stirred = asyncio.Event()
        self._stopping = False
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._request = 0
        self._outstanding = 0
        self._reconnects = 0
        self._pause = 0.0
        self._trouble = ""
        self._last_good: float | None = None

    @property
    def held(self) -> int:
        """Messages in hand: delivered and not yet ended."""
        return len(self._held)

    def healthy(self, within: float) -> bool:
        """Whether the last fetch was good (an empty one is) and not older than `within` seconds.
        While there is no room, nothing is fetched, and the last one stands."""
        if self._last_good is None or self._trouble:
            return False
        return not self._outstanding or time.monotonic() - self._last_good <= within

    @property
    def trouble(self) -> str:
        """What the last fetch failed with; empty when all is well."""
        return self._trouble

    def wake(self) -> None:
        """There may be more room now."""
        self._stirred.set()

    async def run(self) -> None:
        """Pull until `stop`. Messages in hand stay alive until they are ended."""
        self._inbox = self._nc.new_inbox()
        self._subscription = await self._nc.subscribe(  # pyright: ignore[reportUnknownMemberType]
            f"{self._inbox}.*", cb=self._receive
        )
        beating = asyncio.create_task(self._beat())
        try:
            while not self._stopping:
                await self._step()
            while self._held:
                await self._sleep(self._ack_wait)  # until the last one is ended
        finally:
            beating.cancel()

    async def stop(self) -> None:
        """Fetch no more; give back at once what was delivered and not yet handed on."""
        self._stopping = True
        if self._subscription is not None:
            with suppress(*NATS_TROUBLE):
                await self._subscription.drain()
        while self._arrived:
            with suppress(*NATS_TROUBLE):
                await self._arrived.popleft().give_back()
        self.wake()

    async def _step(self) -> None:
        if not self._arrived and not await self._wait():
            return
        if self._linger and self._outstanding:
            await asyncio.sleep(self._linger)
        group = [self._arrived.popleft() for _ in range(len(self._arrived))]
        group = [held for held in group if not await self._ended_on_sight(held)]
        if group:
            await self._hand_over(group)

    async def _wait(self) -> bool:
        """Ask for messages if there is room; True when some arrived."""
        self._stirred.clear()
        room = self._room()
        if room > 0 and not self._outstanding and not self._stopping:
            await self._ask(room)
        if not self._arrived:
            came = await self._sleep(_SILENCE_S if self._outstanding else _EXPIRES_S)
            self._notice_silence(came)
        return bool(self._arrived)

    async def _ask(self, room: int) -> None:
        await asyncio.sleep(self._pause)
        self._request += 1
        self._reconnects = self._nc.stats["reconnects"]
        wanted = {
            "batch": room,
            "expires": int(_EXPIRES_S * 1e9),
            "idle_heartbeat": int(_HEARTBEAT_S * 1e9),
        }
        try:
            await self._nc.publish(
                self._next, json.dumps(wanted).encode(), reply=f"{self._inbox}.{self._request}"
            )
        except NATS_TROUBLE as error:
            self._failed(str(error) or type(error).__name__)
        else:
            self._outstanding = room

    async def _sleep(self, seconds: float) -> bool:
        """Until stirred, or so long; True if stirred."""
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return False
        self._stirred.clear()
        return True

    def _notice_silence(self, came: bool) -> None:
        """A request that the server has forgotten (a restart, a lost link) is asked again."""
        if not self._outstanding or self._stopping:
            return
        if self._nc.stats["reconnects"] != self._reconnects:
            self._outstanding = 0
        elif not came:
            self._failed("the server is silent")

    async def _receive(self, msg: Msg) -> None:
        status = (msg.headers or {}).get("Status") if not msg.data else None
        if status:
            self._receive_status(msg, status)
        else:
            self._receive_message(msg)
        self._stirred.set()

    def _receive_message(self, msg: Msg) -> None:
        self._good()
        self._outstanding = max(0, self._outstanding - 1)
        held = Held(self._nc, msg, self._released, self._ack_tries)
        known = self._held.get(held.identity)
        if known is not None:
            known.redelivered(msg)
            return
        self._held[held.identity] = held
        self._arrived.append(held)

    def _receive_status(self, msg: Msg, status: str) -> None:
        if not msg.subject.endswith(f".{self._request}"):
            return  # the end of a request that was given up before
        if status == "100":
            self._good()
        elif status in {"404", "408"}:
            self._outstanding = 0
            self._good()
        elif status == "503":
            self._failed("no such consumer, or JetStream is not there")
        else:
            self._failed((msg.headers or {}).get("Description", status))

    def _good(self) -> None:
        self._last_good = time.monotonic()
        self._pause = 0.0
        if self._trouble:
            log.warning("%s: fetching again", self._where)
            self._trouble = ""

    def _failed(self, trouble: str) -> None:
        self._outstanding = 0
        self._pause = min(_LONGEST_PAUSE_S, max(0.1, self._pause * 2))
        if trouble != self._trouble:
            log.warning("%s: cannot fetch: %s", self._where, trouble)
            self._trouble = trouble

    async def _ended_on_sight(self, held: Held) -> bool:
        """Answered before, or delivered too often."""
        try:
            if held.identity in self._answered:
                await held.done()
            elif self._most_deliveries and held.deliveries > self._most_deliveries:
                await held.bury("delivered too often without an answer")
            else:
                return False
        except NATS_TROUBLE as error:
            log.warning("%s: %s; tried again at the next delivery", held.subject, error)
            self._released(held)
        return True

    async def _hand_over(self, group: list[Held]) -> None:
        try:
            await self._handle(group)
        except Exception:
            log.exception("%s: the handler failed; its messages are given back", self._where)
            for held in group:
                if held.identity in self._held:
                    with suppress(*NATS_TROUBLE):
                        await held.give_back(min(30.0, 2.0**held.deliveries))

    def _released(self, held: Held, *, answered: bool = False) -> None:
        self._held.pop(held.identity, None)
        if answered:
            self._answered[held.identity] = None
            if len(self._answered) > _ANSWERED_KEPT:
                self._answered.popitem(last=False)
        self._stirred.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._ack_wait / 3)
            for held in list(self._held.values()):
                with suppress(*NATS_TROUBLE):
                    await held.beat()

"""Messages → ledger. Many replies make one transaction; acknowledged after its commit.

| message | what is stored |
|---|---|
| BatchGenerated, BatchJudged | answers, verdicts, attempts, failures; the batch closes |
| BatchDied | the dead batch; its rows are asked again one by one |
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import DecodeError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError

from prefmill.contracts.channels import GENERATED, JUDGED
from prefmill.contracts.results import BatchDied, BatchGenerated, BatchJudged, Reply
from prefmill.ledger.database import Ledger, retried
from prefmill.ledger.dead import store_dead
from prefmill.ledger.results import store_replies
from prefmill.messaging.held import Held
from prefmill.messaging.traces import begin, traced
from prefmill.sink.counts import Counts

log: Final = logging.getLogger("prefmill.sink")

MODELS: Final[dict[str, type[Reply]]] = {
    GENERATED.subject: BatchGenerated,
    JUDGED.subject: BatchJudged,
}

POISON: Final = (DataError, IntegrityError, ValueError)
"""What a message's own content can cause, whoever stores it and whenever: a digest that is no hex
is a ValueError."""


@dataclass(frozen=True)
class Handlers:
    """What the sink does with what it is sent."""

    ledger: Ledger
    pace_s: float = 0.0
    """Least seconds from a transaction to the next: what comes meanwhile shares one."""
    counts: Counts | None = None
    """What was stored, for metrics; not kept if none."""

    async def replies(self, group: Sequence[Held]) -> None:
        """Store replies. One that cannot be read or stored is buried alone."""
        began = time.monotonic()
        parsed = [(held, await self._parsed(held)) for held in group]
        await self._store([(held, reply) for held, reply in parsed if reply is not None])
        await asyncio.sleep(began + self.pace_s - time.monotonic())

    async def died(self, group: Sequence[Held]) -> None:
        """Record batches that were given up."""
        for held in group:
            try:
                died = BatchDied.read(held.data)
            except DecodeError as error:
                log.warning("an unreadable message among the dead: %s", error)
            else:
                await self._record(died)
            await held.done()

    async def _record(self, died: BatchDied) -> None:
        try:
            await patiently(lambda: self._store_dead(died))
        except POISON as error:
            log.warning("a dead batch of %s cannot be recorded: %s", died.subject, error)

    async def _store(self, replies: Sequence[tuple[Held, Reply]]) -> None:
        if not replies:
            return
        began, began_ns = time.monotonic(), time.time_ns()
        try:
            await patiently(lambda: self._commit([reply for _, reply in replies]))
        except POISON as error:
            await self._bisect(replies, error)
        else:
            for held, reply in replies if traced() else ():
                _trace(held, reply, began_ns)
            _tell(replies)
            if self.counts is not None:
                aged = [(reply, held.age_s()) for held, reply in replies]
                self.counts.stored(aged, time.monotonic() - began)
            await asyncio.gather(*(held.done() for held, _ in replies))

    async def _bisect(self, replies: Sequence[tuple[Held, Reply]], error: Exception) -> None:
        """Find the message that breaks the transaction; the others are stored."""
        if len(replies) == 1:
            held, reply = replies[0]
            _trace(held, reply, time.time_ns(), "the ledger cannot store it")
            await held.bury(f"the ledger cannot store it: {error}")
            return
        middle = len(replies) // 2
        await self._store(replies[:middle])
        await self._store(replies[middle:])

    @retried
    async def _commit(self, replies: Sequence[Reply]) -> None:
        async with self.ledger.begin() as connection:
            await store_replies(connection, replies)

    @retried
    async def _store_dead(self, died: BatchDied) -> None:
        async with self.ledger.begin() as connection:
            await store_dead(connection, died)

    async def _parsed(self, held: Held) -> Reply | None:
        model = MODELS.get(held.subject)
        if model is None:
            await held.bury(f"no message is known on {held.subject}")
            return None
        try:
            return model.read(held.data)
        except DecodeError as error:
            await held.bury(f"not a reply: {error}")
            return None


def _tell(replies: Sequence[tuple[Held, Reply]]) -> None:
    for _, reply in replies if log.isEnabledFor(logging.DEBUG) else ():
        about = {"run": reply.run, "batch": reply.batch}
        log.debug("stored", extra=about)


def _trace(held: Held, reply: Reply, began_ns: int, problem: str = "") -> None:
    """The last step of a batch's trace: its part in a transaction."""
    step = begin(
        "store",
        held.headers,
        part="consumer",
        at_ns=began_ns,
        run=reply.run,
        batch=reply.batch,
        final=reply.final,
    )
    step.end(problem)


async def patiently(store: Callable[[], Awaitable[Any]]) -> None:
    """Store, waiting out a database that is not there. What a message's own content causes is
    raised."""
    pause = 0.1
    while True:
        try:
            await store()
        except POISON:
            raise
        except (DBAPIError, InterfaceError, OSError) as error:
            if _poisoned(error):
                raise DataError(str(error), None, error) from error
            log.warning("the ledger is not there (%s); trying again", str(error).splitlines()[0])
            await asyncio.sleep(pause)
            pause = min(5.0, pause * 2)
        else:
            return


def _poisoned(error: BaseException) -> bool:
    """Whether Postgres or its driver refuses the data itself: class 22 and 23 errors, or values
    that do not fit their types."""
    original = getattr(error, "orig", None)
    state = str(getattr(original, "sqlstate", "") or "")
    return state[:2] in {"22", "23"} or isinstance(
        getattr(original, "__cause__", None), ValueError | TypeError | OverflowError
    )

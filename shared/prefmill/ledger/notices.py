"""NOTIFY: wakes whoever plans or exports early. May be lost; a tick makes it right."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.exc import DBAPIError, InterfaceError

from prefmill.ledger.database import Ledger
from prefmill.ledger.runs import NOTICE

log: Final = logging.getLogger("prefmill.ledger")

_PAUSE_S: Final = 0.5


async def listen(ledger: Ledger, wake: Callable[[], None]) -> None:
    """Call `wake` at every notice, for ever, and once when a lost connection is back."""
    while True:
        try:
            await _listen_once(ledger, wake)
        except (DBAPIError, InterfaceError, OSError) as error:
            log.warning("no notices from the ledger: %s", str(error).splitlines()[0])
        wake()
        await asyncio.sleep(_PAUSE_S)


async def _listen_once(ledger: Ledger, wake: Callable[[], None]) -> None:
    """Until the connection is lost. The driver's own connection, as SQLAlchemy has no words for
    listening."""
    lost = asyncio.Event()

    def noticed(*_: object) -> None:
        wake()

    def gone(_: object) -> None:
        lost.set()

    async with ledger.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        driver.add_termination_listener(gone)
        await driver.add_listener(NOTICE, noticed)
        await lost.wait()

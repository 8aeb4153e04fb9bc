"""Uploads that no stored recipe names are removed after a while."""

import asyncio
import logging
import time
from typing import Final

from prefmill.coordinator.trouble import TROUBLE, line_of
from prefmill.coordinator.uploads import Uploads
from prefmill.ledger import runs
from prefmill.ledger.database import Ledger

log: Final = logging.getLogger("prefmill.coordinator")

DAY_S: Final = 86_400.0


async def tidy_on(ledger: Ledger, uploads: Uploads, keep_s: float) -> None:
    """Tidy at once and then every day, for ever."""
    while True:
        try:
            await tidy(ledger, uploads, keep_s)
        except (*TROUBLE, OSError) as error:
            log.warning("uploads are not tidied: %s; trying again tomorrow", line_of(error))
        await asyncio.sleep(DAY_S)


async def tidy(ledger: Ledger, uploads: Uploads, keep_s: float) -> None:
    """Remove the uploads that no stored revision of a recipe names, and that nobody has sent or
    asked for within `keep_s` seconds."""
    since = time.time() - keep_s
    idle = await asyncio.to_thread(uploads.idle, since)
    if not idle:
        return
    async with ledger.begin() as connection:
        named = await runs.uploads_named(connection)
    gone = [name for name in idle if name not in named]
    await asyncio.to_thread(uploads.remove, gone, since)
    if gone:
        log.info("removed %d uploads that no recipe names", len(gone))

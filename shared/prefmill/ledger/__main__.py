"""`python -m prefmill.ledger`: the schema forward and back, as a cluster's setup job runs it."""

import argparse
import asyncio
import os
import sys

from prefmill.ledger.database import HEAD, Ledger, LedgerError, open_ledger
from prefmill.ledger.database import downgrade as migrate_back
from prefmill.ledger.database import version as version_in
from prefmill.settings.ledger import LedgerSettings
from prefmill.settings.unset import Misconfigured, check


async def _upgrade(ledger: Ledger, wait_s: float) -> str:
    await open_ledger(ledger, wait_s)
    return f"the ledger is at migration {HEAD}"


async def _downgrade(ledger: Ledger, wait_s: float, to: str) -> str:
    await open_ledger(ledger, wait_s, migrate=False, any_version=True)
    async with ledger.begin() as connection:
        await connection.run_sync(migrate_back, to)
    return f"the ledger is at migration {to}"


async def _version(ledger: Ledger, wait_s: float) -> str:
    await open_ledger(ledger, wait_s, migrate=False, any_version=True)
    async with ledger.begin() as connection:
        found = await version_in(connection)
    return f"the ledger is at migration {found or 'none'}; this version wants {HEAD}"


async def _run(arguments: argparse.Namespace) -> str:
    settings = LedgerSettings()
    ledger = Ledger(settings.database_url)
    try:
        if arguments.order == "upgrade":
            return await _upgrade(ledger, settings.database_wait_s)
        if arguments.order == "downgrade":
            return await _downgrade(ledger, settings.database_wait_s, arguments.to)
        return await _version(ledger, settings.database_wait_s)
    finally:
        await ledger.close()


def main() -> None:
    """Exit 0, or 1 with one line."""
    parser = argparse.ArgumentParser(prog="python -m prefmill.ledger", description=__doc__)
    orders = parser.add_subparsers(dest="order", required=True)
    orders.add_parser("upgrade", help="to the migration of this version")
    orders.add_parser("version", help="which migration the ledger is at")
    back = orders.add_parser("downgrade", help="before an older version is installed again")
    back.add_argument("to", help="the migration that the older version wants")
    try:
        arguments = parser.parse_args()
        check(os.environ)
        print(asyncio.run(_run(arguments)))
    except (LedgerError, Misconfigured) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

"""`python -m prefmill.messaging`: makes the streams that are missing, as a cluster's setup job."""

import asyncio
import os
import sys

from prefmill.messaging.connection import connect, jetstream_of
from prefmill.messaging.errors import NatsUnavailable
from prefmill.messaging.topology import bootstrap, topology_of
from prefmill.settings.service import ServiceSettings
from prefmill.settings.unset import Misconfigured, check


async def _run(settings: ServiceSettings) -> str:
    nc = await connect(
        settings.nats_url, "prefmill-coordinator", wait_s=settings.nats_wait_s, ca=settings.nats_ca
    )
    try:
        differences = await bootstrap(jetstream_of(nc), topology_of(settings))
    finally:
        await nc.close()
    return "\n".join((*differences, "the streams are there"))


def main() -> None:
    """Exit 0, or 1 with one line. What differs from the settings is said and left as it is."""
    try:
        check(os.environ)
        print(asyncio.run(_run(ServiceSettings())))
    except (NatsUnavailable, Misconfigured) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

"""Why batches are pulled by our own loop: the promises that FastStream's subscriber does not keep.

The decision is docs/decisions/0002-pull-loop.md. If this fails after an upgrade, decide anew.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from nats.aio.client import Client

from .conftest import Server


@pytest.mark.slow
async def test_faststreams_subscriber_still_breaks_the_promises_of_the_pull_loop(
    nc: Client, server: Server
) -> None:
    script = Path(__file__).parent / "faststream_subscriber.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, server.url, "1.0", env=environment, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    figures = json.loads(output)
    assert figures["unacked_after_stop"] > 0, "not started, not given back"
    assert figures["handled_twice"] > 0, "fetched ahead without a heartbeat"
    assert figures["ping_without_consumer"], "says that it is well, and gets nothing"

"""The AsyncAPI page: every channel of the table, as a FastStream broker that is never started.

Comes in: `prefmill.contracts.channels.CHANNELS`. Goes out: the document, or a page that shows it.
Run as a program it prints it: `python -m prefmill.messaging.asyncapi > docs/asyncapi.json`.
"""

import json
import sys
from typing import Any

from faststream.nats import JStream, NatsBroker
from faststream.specification import AsyncAPI
from faststream.specification.asyncapi import get_asyncapi_html
from faststream.specification.base import Specification

from prefmill.contracts.base import model_of
from prefmill.contracts.channels import CHANNELS, Channel


def document() -> dict[str, Any]:
    """AsyncAPI 3.0 of all channels: address, message, stream, and who sends."""
    return json.loads(_specification().to_json())


def page() -> str:
    """The document as FastStream's page; the browser gets what draws it from a CDN."""
    return get_asyncapi_html(_specification(), try_it_out_path=None)


def _specification() -> Specification:
    broker = NatsBroker("nats://127.0.0.1:4222", logger=None)
    for channel in CHANNELS:
        _declare(broker, channel)
    specification = AsyncAPI(
        title="prefmill",
        version="1",
        schema_version="3.0.0",
        description="What the parts of prefmill say to each other.",
    )
    specification.add_broker(broker)
    return specification.to_specification()


def _declare(broker: NatsBroker, channel: Channel) -> None:
    stream = f", stream {channel.stream}" if channel.stream else ", core NATS"
    broker.publisher(
        f"{channel.subject}*" if channel.subject.endswith(".") else channel.subject,
        title=channel.message.__name__,
        description=f"{channel.message.__doc__} Sent by {', '.join(channel.sent_by)}{stream}.",
        schema=model_of(channel.message),
        stream=JStream(channel.stream, declare=False) if channel.stream else None,
    )


def main() -> None:
    """Print the document, in an order that does not change from run to run."""
    sys.stdout.write(json.dumps(document(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

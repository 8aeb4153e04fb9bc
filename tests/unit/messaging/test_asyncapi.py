"""The AsyncAPI page in the repository is the one that the table of channels makes."""

import json
from pathlib import Path

from prefmill.contracts.channels import CHANNELS
from prefmill.messaging.asyncapi import document, page

PAGE = Path(__file__).parents[3] / "docs" / "asyncapi.json"


def test_the_page_in_the_repository_is_current() -> None:
    stored = json.loads(PAGE.read_text())
    assert stored == document(), "python -m prefmill.messaging.asyncapi > docs/asyncapi.json"


def test_every_channel_stands_on_the_page_with_its_message() -> None:
    channels = document()["channels"]
    for channel in CHANNELS:
        entry = channels[channel.message.__name__]
        assert entry["address"].rstrip("*") == channel.subject


def test_the_page_for_people_holds_the_document() -> None:
    html = page()
    assert "<title>prefmill AsyncAPI</title>" in html
    for channel in CHANNELS:
        assert channel.message.__name__ in html

"""What a service shows of itself on the port of its probes."""

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from prefmill.messaging.probes import Probes
from prefmill.settings.service import ServiceSettings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest_asyncio.fixture
async def probes() -> AsyncIterator[tuple[Probes, str]]:
    port = free_port()
    probes = Probes(ServiceSettings(probe_port=port))
    await probes.start()
    yield probes, f"http://127.0.0.1:{port}/metrics"
    await probes.stop()


async def fetched(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_readiness_is_told_as_a_number(probes: tuple[Probes, str]) -> None:
    service, url = probes
    assert "\nprefmill_ready 0.0\n" in await fetched(url)
    service.unready = lambda: ""
    assert "\nprefmill_ready 1.0\n" in await fetched(url)


async def test_a_look_that_fails_is_said_and_the_rest_is_told(
    probes: tuple[Probes, str], caplog: pytest.LogCaptureFixture
) -> None:
    service, url = probes

    async def look() -> None:
        raise ValueError("a column is gone")

    service.before_scrape = look
    assert "prefmill_ready" in await fetched(url)
    assert "as seen last" in caplog.text

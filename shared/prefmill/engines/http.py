"""HTTP as engines need it: one session, bounded answers, and failures that say what happened."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import hdrs
from yarl import URL

from prefmill.contracts.reasons import REJECTED
from prefmill.engines.failures import Place
from prefmill.plugins.errors import EngineError, Rejected, Transient, Unusable

LARGEST_ANSWER: Final = 32 * 1024 * 1024
"""Bytes. A server that sends more is not read to its end."""

_CONNECT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; the names in `headers` are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TooLarge(Exception):
    """The answer is larger than LARGEST_ANSWER."""


class Client:
    """One keep-alive session to one server. Raises Transient, Rejected or Unusable."""

    def __init__(
        self, place: Place, headers: Mapping[str, str], timeout_s: float, proxy: str | None = None
    ) -> None:
        self._place = place
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S),
            headers={hdrs.ACCEPT_ENCODING: "identity", **headers},
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def get(self, url: URL) -> Answer:
        """GET; redirects are not followed, as they would take the key elsewhere."""
        return await self._fetch(hdrs.METH_GET, url, None)

    async def post(self, url: URL, body: bytes) -> Answer:
        """POST; redirects are not followed."""
        return await self._fetch(hdrs.METH_POST, url, body)

    async def _fetch(self, method: str, url: URL, body: bytes | None) -> Answer:
        try:
            async with self._session.request(
                method, url, data=body, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await _bounded(response))
        except (TimeoutError, aiohttp.ClientError, OSError, TooLarge, RuntimeError) as error:
            raise self._failure(error) from error

    def _failure(self, error: BaseException) -> EngineError:
        place = self._place
        match error:
            case TimeoutError():
                return Transient(place.line(f"time-out: no whole answer in {self._timeout_s:g} s"))
            case TooLarge():
                most = LARGEST_ANSWER // 1024**2
                return Rejected(REJECTED, place.line(f"the answer is larger than {most} MB"))
            case aiohttp.ClientConnectorCertificateError() | aiohttp.InvalidURL():
                return Unusable(place.line(str(error), "is base_url right?"))
            case aiohttp.ClientConnectorError():
                return Transient(place.line(f"cannot connect: {_cause(error)}"))
            case RuntimeError():  # aiohttp's way to say that the session was closed meanwhile
                return Transient(place.line(f"the engine was stopped: {error}"))
            case _:
                return Transient(place.line(f"connection lost: {_cause(error)}"))


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body, read in one piece where its size is known."""
    if hdrs.CONTENT_ENCODING not in response.headers:
        size = response.content_length
        if size is not None and size > LARGEST_ANSWER:
            raise TooLarge
        if size is not None:
            return await response.read()
    return await _pieces(response.content)


async def _pieces(content: aiohttp.StreamReader) -> bytes:
    pieces = bytearray()
    async for piece in content.iter_any():
        pieces += piece
        if len(pieces) > LARGEST_ANSWER:
            raise TooLarge
    return bytes(pieces)


def _cause(error: BaseException) -> str:
    return str(error) or type(error).__name__

"""A session through the proxy that the environment names: aiohttp knows how to ask one."""

import aiohttp
from yarl import URL

from prefmill.engines.http_answer import Answer, TooLarge
from prefmill.engines.http_direct import CONNECT_S, ConnectError


class ProxiedSession:
    """A keep-alive aiohttp session; cookies and redirects are left alone."""

    def __init__(self, proxy: str, headers: dict[str, str], timeout_s: float, largest: int) -> None:
        self._largest = largest
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def fetch(self, method: str, url: URL, body: bytes | None) -> Answer:
        """The answer. Raises TimeoutError, OSError or TooLarge."""
        try:
            async with self._session.request(
                method, url, data=body, allow_redirects=False
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, headers, await self._body(response.content))
        except aiohttp.ClientConnectorCertificateError as error:
            raise error.certificate_error from error
        except aiohttp.ClientConnectorError as error:
            raise ConnectError(str(error)) from error
        except (aiohttp.ClientError, RuntimeError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise ConnectionError(str(error) or type(error).__name__) from error

    async def _body(self, content: aiohttp.StreamReader) -> bytes:
        pieces = bytearray()
        async for piece in content.iter_any():
            pieces += piece
            if len(pieces) > self._largest:
                raise TooLarge
        return bytes(pieces)

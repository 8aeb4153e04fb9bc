"""HTTP as engines need it: kept connections, bounded answers, failures that say what happened."""

import ssl
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Final

from yarl import URL

from prefmill.contracts.reasons import REJECTED
from prefmill.engines.failures import Place
from prefmill.engines.http_answer import LARGEST_ANSWER, Answer, BadAnswer, TooLarge
from prefmill.engines.http_direct import ConnectError, DirectSession
from prefmill.plugins.errors import EngineError, Rejected, Transient, Unusable

if TYPE_CHECKING:
    from prefmill.engines.http_proxied import ProxiedSession

_ALWAYS: Final = {"User-Agent": "prefmill", "Accept-Encoding": "identity"}


class Client:
    """Asks one server, through `proxy` if there is one. Raises Transient, Rejected or Unusable.
    Redirects are answers like any other, as following them would take the key elsewhere."""

    def __init__(
        self,
        url: URL,
        place: Place,
        headers: Mapping[str, str],
        timeout_s: float,
        *,
        proxy: str | None = None,
        largest: int = LARGEST_ANSWER,
    ) -> None:
        self._place = place
        self._timeout_s = timeout_s
        self._largest = largest
        all_headers = {**_ALWAYS, **headers}
        self._session = (
            _proxied(proxy, all_headers, timeout_s, largest)
            if proxy
            else DirectSession(url, all_headers, timeout_s, largest)
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def get(self, url: URL) -> Awaitable[Answer]:
        """GET."""
        return self._fetch("GET", url, None)

    def post(self, url: URL, body: bytes) -> Awaitable[Answer]:
        """POST."""
        return self._fetch("POST", url, body)

    async def _fetch(self, method: str, url: URL, body: bytes | None) -> Answer:
        try:
            return await self._session.fetch(method, url, body)
        except (OSError, BadAnswer, TooLarge) as error:
            raise self._failure(error) from error

    def _failure(self, error: BaseException) -> EngineError:
        place = self._place
        match error:
            case ConnectError():
                return Transient(place.line(f"cannot connect: {error}"))
            case ssl.SSLCertVerificationError():
                return Unusable(place.line(str(error), "is base_url right?"))
            case TooLarge():
                most = self._largest / 1024**2
                return Rejected(REJECTED, place.line(f"the answer is larger than {most:g} MB"))
            case TimeoutError() if error.errno is None:
                return Transient(place.line(f"time-out: no whole answer in {self._timeout_s:g} s"))
            case BadAnswer():
                return Transient(place.line(f"the answer is broken: {error}"), broken=True)
            case _:
                return Transient(
                    place.line(f"connection lost: {str(error) or type(error).__name__}")
                )


def _proxied(
    proxy: str, headers: dict[str, str], timeout_s: float, largest: int
) -> "ProxiedSession":
    from prefmill.engines.http_proxied import ProxiedSession  # aiohttp: heavy, and rarely due

    return ProxiedSession(proxy, headers, timeout_s, largest)

"""Argilla's HTTP API, version 1 (servers from 1.28 and 2.x), as far as a dataset needs it."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final

from prefmill.plugins.destination import DestinationError

TRIES: Final = 5
TIMEOUT_S: Final = 60.0
KEY: Final = "ARGILLA_API_KEY"


class ArgillaClient:
    """Calls one server with one key. What may pass (lost connections, time-outs, 429, 5xx) is
    tried again; the rest is a DestinationError. `pause` waits between tries."""

    def __init__(self, url: str, key: str, pause: Callable[[float], None] = time.sleep) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._pause = pause

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that answers; None where there is none."""
        for n in range(TRIES):
            try:
                return self._once(method, path, body)
            except urllib.error.HTTPError as error:
                self._check(error, path)
                self._wait(n, error)
            except (OSError, http.client.HTTPException) as error:
                self._wait(n, error)
        raise AssertionError("the last try returns or raises")

    def items(self, path: str) -> list[dict[str, Any]]:
        """What a listing holds."""
        return self.call("GET", path)["items"]

    def _once(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the options allow http and https only
            f"{self.url}/api/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Argilla-Api-Key": self._key, "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            content = response.read()
        return json.loads(content) if content else None

    def _wait(self, n: int, error: Exception) -> None:
        """Before another try; DestinationError if it was the last one."""
        if n == TRIES - 1:
            raise DestinationError(
                f"{self.url} cannot be reached ({error}): the dataset is whole in its folder; "
                "export again to go on"
            ) from error
        self._pause(2.0**n)

    def _check(self, error: urllib.error.HTTPError, path: str) -> None:
        """DestinationError for what another try would not change."""
        if error.code in (401, 403):
            raise DestinationError(
                f"{self.url} refuses ({error.code} for {path}): set {KEY} to the key of an owner "
                "or admin of the workspace, and export again"
            ) from error
        if error.code != 429 and error.code < 500:
            said = error.read()[:500].decode(errors="replace")
            raise DestinationError(
                f"{self.url} does not take {path} ({error.code}): {said}"
            ) from error

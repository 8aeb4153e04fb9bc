"""The HTTP API as somebody outside calls it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any


class Api:
    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def raw(self, path: str, body: Any = None) -> bytes:
        request = urllib.request.Request(
            f"{self._url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            error.add_note(error.read().decode())
            raise

    def __call__(self, path: str, body: Any = None) -> Any:
        return json.loads(self.raw(path, body))

    def finish(self, run: int, meanwhile: Callable[[], object], seconds: float = 90) -> Any:
        """Wait for the end of a run, doing something meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            status = self(f"/v1/runs/{run}")
            if status["state"] in ("finished", "failed", "cancelled"):
                return status
            assert time.monotonic() < deadline, status
            meanwhile()
            time.sleep(0.05)

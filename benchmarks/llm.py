"""The fake LLM server as the benchmark sees it: start, reset, wait, ask, stop."""

import http.client
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120


@dataclass(frozen=True)
class Asked:
    """What the server counted; times of the system's monotonic clock, seconds."""

    generations: int
    verdicts: int
    others: int
    in_flight: int
    peak: int
    first_call: float
    last_verdict: float
    server_cpu: float


class FakeLLM:
    """A server process of our own; as a context manager, ends with its block."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fake_llm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C ends what is measured first
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.pid = self._process.pid

    @property
    def base_url(self) -> str:
        """What a client is given."""
        return f"http://127.0.0.1:{self.port}/v1"

    def reset(self, latency: float) -> None:
        """Forget all counts; answer from now on after `latency` seconds."""
        self._ask("POST", f"/reset?latency={latency}")

    def stats(self) -> Asked:
        """What was asked since the last reset."""
        return Asked(**self._ask("GET", "/stats"))

    def wait(self, what: str, count: int) -> Asked:
        """Return when so many `calls` or `verdicts` have been served."""
        return Asked(**self._ask("GET", f"/wait?{what}={count}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

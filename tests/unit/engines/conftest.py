"""A server on loopback that answers with exactly the bytes a test hands it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

RESET = b"\0reset"
CLOSE = b"\0close"
HANG = b"\0hang"


def answer(
    body: Any = b"", status: int = 200, kind: str = "application/json", **headers: str
) -> bytes:
    """A whole HTTP answer; what is not bytes goes out as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Any", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@dataclass
class Asked:
    """One request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class ScriptedServer:
    """Answers request i with `answers[i]`, and all after the last like the last."""

    answers: list[bytes] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def says(self, *answers: bytes) -> None:
        """What it answers from now on."""
        self.answers = list(answers)
        self.asked.clear()

    @property
    def bodies(self) -> list[Any]:
        """The JSON bodies of the POSTs."""
        return [asked.body for asked in self.asked if asked.method == "POST"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = head[0].split(" ")
        self.asked.append(Asked(method, path, headers, json.loads(data) if data else None))
        said = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if said == HANG:
            await reader.read()
            return False
        if said == RESET:
            writer.transport.abort()
            return False
        if said.startswith(CLOSE):
            writer.write(said.removeprefix(CLOSE))
            await writer.drain()
            return False
        writer.write(said)
        await writer.drain()
        return True


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A scripted server."""
    scripted = ScriptedServer()
    listening = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, limit=1 << 24)
    scripted.port = listening.sockets[0].getsockname()[1]
    yield scripted
    listening.close()
    await asyncio.sleep(0)


@pytest.fixture
def say() -> Any:
    """Makes answers: `say(body, status, kind, **headers)`, `say.reset`, `say.close`, `say.hang`."""

    def _say(*args: Any, **kwargs: Any) -> bytes:
        return answer(*args, **kwargs)

    _say.reset, _say.close, _say.hang = RESET, CLOSE, HANG  # type: ignore[attr-defined]
    return _say


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in ("OPENAI", "ANTHROPIC"):
        for name in ("API_KEY", "BASE_URL"):
            monkeypatch.delenv(f"{vendor}_{name}", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

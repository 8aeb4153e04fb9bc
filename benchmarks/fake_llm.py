"""A fake LLM server with the OpenAI wire, as cheap as can be: it is not what is measured.

`POST /v1/chat/completions` and `GET /v1/models` for clients; `GET /stats`, `POST /reset?latency=S`,
`GET /wait?calls=N` and `GET /wait?verdicts=N` (answered when so many have been served) for the
benchmark. Answers are made beforehand. It understands HTTP/1.1 with keep-alive and Content-Length,
and nothing else. Run as a program it prints its port and serves until its stdin closes.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any, Final

import uvloop

MODELS: Final = ("m-a", "m-b", "m-judge")
ANSWER_CHARS: Final = 400
MOST_TEXTS: Final = 8

_VARIANTS: Final = 64
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TEXTS: Final = [b"<text %d>" % n for n in range(MOST_TEXTS + 2)]
_WORDS: Final = ("steady", "river", "of", "small", "plain", "words", "say", "little", "and", "end")


def _http(document: object, status: bytes = b"200 OK") -> bytes:
    body = json.dumps(document).encode()
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _completion(text: str, number: int) -> bytes:
    usage = {"prompt_tokens": 90, "completion_tokens": len(text) // 4}
    message = {"role": "assistant", "content": text}
    return _http(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "fake",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage | {"total_tokens": sum(usage.values())},
        }
    )


def answer(number: int) -> str:
    """A text of ANSWER_CHARS characters, another one for each number."""
    words = (_WORDS[(number * 7 + i * i) % len(_WORDS)] for i in range(ANSWER_CHARS))
    return f"Answer {number}: {' '.join(words)}"[: ANSWER_CHARS - 1] + "."


def verdict(texts: int, number: int) -> str:
    """A verdict on so many texts in UltraFeedback's layout; ratings differ within most of them."""
    ratings = (1 + (number + n * (1 + number // 5)) % 5 for n in range(texts))
    return "\n\n".join(
        f"#### Output for Text {n}\nRating: {rating}\n"
        f"Rationale: Text {n} does what was asked, with some small faults that a reader notices."
        for n, rating in enumerate(ratings, 1)
    )


class Counts:
    """What was asked since the last reset; times are of the system-wide monotonic clock, in s."""

    def __init__(self) -> None:
        self.generations = self.verdicts = self.others = 0
        self.in_flight = self.peak = 0
        self.first_call = self.last_verdict = 0.0
        self._cpu_before = time.process_time()
        self._waiting: list[tuple[str, int, Callable[[], None]]] = []

    def wait(self, what: str, count: int, reply: Callable[[], None]) -> None:
        """Call `reply` when there are so many `calls` or `verdicts`."""
        self._waiting.append((what, count, reply))
        self.wake()

    def wake(self, *, everybody: bool = False) -> None:
        """Serve those who wait for as many calls or verdicts as there are now."""
        if not self._waiting:
            return
        reached = {"calls": self.generations + self.verdicts, "verdicts": self.verdicts}
        waiting, self._waiting = self._waiting, []
        for what, count, reply in waiting:
            if everybody or reached[what] >= count:
                reply()
            else:
                self._waiting.append((what, count, reply))

    def document(self) -> dict[str, float]:
        """All of it, for GET /stats."""
        told = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return told | {"server_cpu": time.process_time() - self._cpu_before}


class Server:
    """The state that all connections share."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.latency = 0.0
        self.loop = asyncio.get_running_loop()
        self.models = _http({"object": "list", "data": [{"id": m} for m in MODELS]})
        self.answers = cycle([_completion(answer(n), n) for n in range(_VARIANTS)])
        self.verdicts = [
            cycle([_completion(verdict(texts, n), n) for n in range(_VARIANTS)])
            for texts in range(MOST_TEXTS + 1)
        ]


class Connection(asyncio.Protocol):
    """One client's connection: one request at a time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.rest = b""
        self.send: Callable[[bytes], None] = lambda _: None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        """Keep what is needed to answer."""
        self.transport = transport
        self.send = transport.write

    def connection_lost(self, exc: Exception | None) -> None:
        """Answers that come later have nowhere to go."""
        self.send = lambda _: None

    def data_received(self, data: bytes) -> None:
        """Serve every whole request, keep the rest."""
        if self.rest:
            data = self.rest + data
        while data:
            end = data.find(b"\r\n\r\n")
            length = _LENGTH.search(data, 0, end + 2) if end > 0 else None
            size = end + 4 + (int(length[1]) if length else 0)
            if end < 0 or len(data) < size:
                break
            if len(data) == size:
                self.serve(data)
                data = b""
            else:
                self.serve(data[:size])
                data = data[size:]
        self.rest = data

    def serve(self, request: bytes) -> None:
        """Answer one request: the head and the body in one."""
        if request.startswith(b"POST /v1/chat/completions"):
            self.complete(request)
        elif request.startswith(b"GET /v1/models"):
            self.server.counts.others += 1
            self.send(self.server.models)
        else:
            self.control(request[: request.find(b"\r\n")].decode())

    def complete(self, request: bytes) -> None:
        """A chat completion: a verdict if texts are shown, else an answer."""
        server, counts = self.server, self.server.counts
        counts.in_flight += 1
        if counts.in_flight > counts.peak:
            counts.peak = counts.in_flight
        if not counts.first_call:
            counts.first_call = time.monotonic()
        texts = 0
        if _TEXTS[1] in request:
            texts = 1
            while texts < MOST_TEXTS and _TEXTS[texts + 1] in request:
                texts += 1
        if server.latency:
            server.loop.call_later(server.latency, self.reply, texts)
        else:
            self.reply(texts)

    def reply(self, texts: int) -> None:
        """Send the answer of a completion, and count it."""
        server, counts = self.server, self.server.counts
        counts.in_flight -= 1
        if texts:
            counts.verdicts += 1
            counts.last_verdict = time.monotonic()
            self.send(next(server.verdicts[texts]))
        else:
            counts.generations += 1
            self.send(next(server.answers))
        counts.wake()

    def control(self, line: str) -> None:
        """The benchmark's own requests."""
        path, _, query = line.split(" ")[1].partition("?")
        name, _, value = query.partition("=")
        if path == "/stats":
            self.send(_http(self.server.counts.document()))
        elif path == "/reset":
            self.server.counts.wake(everybody=True)
            self.server.counts = Counts()
            self.server.latency = float(value or 0)
            self.send(_http({}))
        elif path == "/wait" and name in ("calls", "verdicts") and value.isdecimal():
            self.server.counts.wait(name, int(value), self.stats)
        else:
            self.send(_http({"error": {"message": f"no {line}"}}, b"404 Not Found"))

    def stats(self) -> None:
        """Answer somebody who waited."""
        self.send(_http(self.server.counts.document()))


async def serve(port: int) -> None:
    """Serve on loopback; ends when stdin does."""
    loop = asyncio.get_running_loop()
    state = Server()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    closed = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), closed.set)
    await closed.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))

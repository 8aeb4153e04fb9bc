import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fake_llm"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.stdin.close()


def request(content: str) -> bytes:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def answer(connection: socket.socket) -> Any:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < size:
        body += connection.recv(65536)
    assert len(body) == size
    return json.loads(body)


def text_of(document: Any) -> str:
    return document["choices"][0]["message"]["content"]


def ask(port: int, *pieces: bytes) -> Any:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        return answer(connection)


def test_a_prompt_is_answered_in_four_hundred_characters(port: int) -> None:
    assert len(text_of(ask(port, request("Hi")))) == 400


def test_a_prompt_that_shows_two_texts_gets_a_verdict_on_two(port: int) -> None:
    verdict = text_of(ask(port, request("<text 1>\na\n</text 1>\n<text 2>\nb\n</text 2>")))
    assert verdict.count("Rating: ") == 2
    assert "#### Output for Text 2\n" in verdict
    assert "Text 3" not in verdict


def test_a_request_that_arrives_byte_by_byte_is_answered_once(port: int) -> None:
    whole = request("Hi")
    assert text_of(ask(port, *(whole[n : n + 1] for n in range(len(whole)))))


def test_two_requests_in_one_piece_are_both_answered(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request("Hi"))
        first = text_of(answer(connection))
        connection.sendall(request("Hi") + request("Ho")[:40])
        second = text_of(answer(connection))
        connection.sendall(request("Ho")[40:])
        third = text_of(answer(connection))
    assert len({first, second, third}) == 3


def test_calls_are_counted_by_kind_since_the_reset_and_whoever_waits_is_told(port: int) -> None:
    ask(port, b"POST /reset?latency=0 HTTP/1.1\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        waiting.sendall(b"GET /wait?verdicts=1 HTTP/1.1\r\n\r\n")
        ask(port, request("Hi"))
        ask(port, request("<text 1>\na\n</text 1>"))
        told = answer(waiting)
    assert (told["generations"], told["verdicts"], told["peak"]) == (1, 1, 1)
    assert told["first_call"] <= told["last_verdict"]
    assert ask(port, b"GET /stats HTTP/1.1\r\n\r\n")["verdicts"] == 1

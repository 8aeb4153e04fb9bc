"""The HTTP client: every way an answer can come, or not, directly and through a proxy."""

import asyncio
import gzip
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from prefmill.contracts.reasons import REJECTED
from prefmill.engines.failures import Place
from prefmill.engines.http import Client
from prefmill.engines.http_answer import Answer, AnswerParser, BadAnswer, TooLarge
from prefmill.plugins.errors import EngineError, Rejected, Transient, Unusable

PLACE = Place("m", "there", "KEY")
BODY = b"0123456789" * 30
CHUNKED = b"".join(b"%x;x=y\r\n%b\r\n" % (len(p), p) for p in (BODY[:7], BODY[7:200], BODY[200:]))
OK = b"HTTP/1.1 200 OK\r\nX-Name: A b \r\n"

WHOLE = {
    "length": OK + b"Content-Length: 300\r\n\r\n" + BODY,
    "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + b"0\r\n\r\n",
    "trailers": OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + b"0\r\nA: b\r\nC: d\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
    + OK + b"Content-Length: 300\r\n\r\n" + BODY,
    "no reason": b"HTTP/1.1 200\r\nX-Name: A b\r\ncontent-length:300\r\n\r\n" + BODY,
}  # fmt: skip


def parsed(raw: bytes, cuts: list[int], largest: int = 1000) -> tuple[Answer | None, AnswerParser]:
    """What the parser makes of the bytes when they come in pieces."""
    parser = AnswerParser(largest)
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    for start, end in pairwise(edges):
        if (answer := parser.feed(raw[start:end])) is not None:
            return answer, parser
    return None, parser


@pytest.mark.parametrize("way", WHOLE)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=20))
def test_an_answer_is_the_same_however_its_bytes_are_cut(way: str, cuts: list[int]) -> None:
    answer, parser = parsed(WHOLE[way], cuts)
    assert answer is not None
    assert (answer.status, answer.body, answer.headers["x-name"]) == (200, BODY, "A b")
    assert parser.keep


@pytest.mark.parametrize("way", WHOLE)
def test_an_answer_that_is_cut_off_is_none(way: str) -> None:
    for end in range(len(WHOLE[way])):
        answer, parser = parsed(WHOLE[way][:end], [])
        assert answer is None
        assert parser.end() is None


def test_without_a_length_the_answer_ends_with_the_stream() -> None:
    answer, parser = parsed(OK + b"\r\n" + BODY, [50, 100])
    assert answer is None
    ended = parser.end()
    assert ended is not None
    assert ended.body == BODY
    assert not parser.keep


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", True),
        (b"HTTP/1.1 204 No Content", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0", True),
    ],
)
def test_a_connection_is_kept_where_the_server_keeps_it(head: bytes, keep: bool) -> None:
    answer, parser = parsed(head + b"\r\n\r\n", [])
    assert answer is not None
    assert answer.body == b""
    assert parser.keep is keep
    _, followed = parsed(head + b"\r\n\r\nmore", [])
    assert not followed.keep


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a" * 70_000,
    ],
)
def test_what_is_no_http_is_said_to_be_broken(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        parsed(raw, [])


@given(st.binary(max_size=200), st.sampled_from([b"", OK, OK + b"Transfer-Encoding: chunked\r\n"]))
def test_any_bytes_are_an_answer_or_broken_or_not_enough(noise: bytes, head: bytes) -> None:
    try:
        _, parser = parsed(head + b"\r\n" + noise if head else noise, [])
        parser.end()
    except (BadAnswer, TooLarge):
        pass


HEADERS = st.lists(
    st.sampled_from(
        [b"Content-Length: 3", b"content-length:3", b"Content-Length: 9", b"Content-Length: 2000",
         b"Connection: close", b"Connection: keep-alive", b"Content-Encoding: gzip",
         b"Content-Encoding: identity", b"Transfer-Encoding: chunked", b"X: a\nb", b"no colon"]
    ),
    max_size=4,
)  # fmt: skip


@given(
    status=st.sampled_from(
        [b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 204 N", b"HTTP/1.1 99"]
    ),
    headers=HEADERS,
    body=st.sampled_from([b"", b"abc", b"abcd", b"3\r\nabc\r\n0\r\n\r\n"]),
)
def test_an_answer_that_comes_at_once_is_read_as_one_that_comes_in_two(
    status: bytes, headers: list[bytes], body: bytes
) -> None:
    raw = b"\r\n".join([status, *headers, b"", body])
    assert fed(raw, []) == fed(raw, [1])


def fed(raw: bytes, cuts: list[int]) -> tuple[object, ...]:
    """The answer, or the kind of error, and whether the connection may be used again."""
    try:
        answer, parser = parsed(raw, cuts)
        return (answer, parser.keep, parser.end() if answer is None else None)
    except (BadAnswer, TooLarge) as error:
        return (type(error),)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_an_answer_that_is_packed_unasked_is_unpacked(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(BODY)
    head = OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    coding = b"gzip" if pack is gzip.compress else b"deflate"
    answer, _ = parsed(head % (coding, len(packed)) + packed, [])
    assert answer is not None
    assert answer.body == BODY
    with pytest.raises(BadAnswer, match="cut off"):
        parsed(head % (coding, len(packed) - 9) + packed[:-9], [])


LARGE = b"x" * 200_000
TOO_LARGE = {
    "length": OK + b"Content-Length: 200000\r\n\r\n" + LARGE,
    "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n30d40\r\n" + LARGE + b"\r\n0\r\n\r\n",
    "endless": OK + b"\r\n" + LARGE,
    "gzip": OK
    + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(LARGE))
    + gzip.compress(LARGE),
}

Open = Callable[..., Awaitable[tuple[Client, URL]]]


@pytest.fixture(params=["direct", "proxied"])
async def opened(request: pytest.FixtureRequest, server: Any) -> AsyncIterator[Open]:
    """Opens clients of the scripted server, which also plays the proxy."""
    clients: list[Client] = []

    async def _open(timeout_s: float = 20.0, **options: Any) -> tuple[Client, URL]:
        here = f"http://127.0.0.1:{server.port}"
        proxy = here if request.param == "proxied" else None
        url = URL("http://far.invalid/v1/x?a=b" if proxy else f"{here}/v1/x?a=b")
        headers = {"X-Key": "k"}
        clients.append(Client(url, PLACE, headers, timeout_s, proxy=proxy, **options))
        return clients[-1], url

    yield _open
    for client in clients:
        await client.close()


async def failure(client: Client, url: URL) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await client.post(url, b"{}")
    return caught.value


async def test_what_is_asked_goes_out_whole(server: Any, say: Any, opened: Open) -> None:
    server.says(say(b"{}"))
    client, url = await opened()
    await client.post(url, b'{"a": "\xc3\xa9"}')
    await client.get(url)
    posted, got = server.asked
    assert posted.path.endswith("/v1/x?a=b")
    assert (posted.body, got.body) == ({"a": "é"}, None)
    assert (posted.method, got.method) == ("POST", "GET")
    for asked in server.asked:
        assert asked.headers["x-key"] == "k"
        assert asked.headers["accept-encoding"] == "identity"
        assert asked.headers["host"] in (f"127.0.0.1:{server.port}", "far.invalid")


@pytest.mark.parametrize("way", WHOLE)
async def test_every_kind_of_answer_is_read_twice_on_one_client(
    server: Any, opened: Open, way: str
) -> None:
    server.says(WHOLE[way])
    client, url = await opened()
    for _ in range(2):
        answer = await client.post(url, b"{}")
        assert (answer.status, answer.body, answer.headers["x-name"]) == (200, BODY, "A b")


async def test_an_answer_may_end_with_the_connection(server: Any, say: Any, opened: Open) -> None:
    server.says(say.close + OK + b"\r\n" + BODY)
    client, url = await opened()
    for _ in range(2):
        assert (await client.post(url, b"{}")).body == BODY


@pytest.mark.parametrize("way", TOO_LARGE)
async def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    server: Any, say: Any, opened: Open, way: str
) -> None:
    server.says(say.close + TOO_LARGE[way])
    error = await failure(*(await opened(largest=100_000)))
    assert isinstance(error, Rejected)
    assert error.reason == REJECTED
    assert "larger than" in error.detail


async def test_what_breaks_on_the_way_is_transient(server: Any, say: Any, opened: Open) -> None:
    cut = say.close + WHOLE["length"][:-9]
    chunk = say.close + WHOLE["chunked"][:-30]
    for said in (say.reset, say.close, cut, chunk, say.close + b"HTTP/1.1 2", b"NO HTTP\r\n\r\n"):
        server.says(said)
        error = await failure(*(await opened()))
        assert isinstance(error, Transient), said
        assert not error.rate_limited


async def test_silence_is_a_time_out(server: Any, say: Any, opened: Open) -> None:
    for said in (say.hang, OK + b"Content-Length: 300\r\n\r\n" + BODY[:9]):
        server.says(said)
        error = await failure(*(await opened(timeout_s=0.05)))
        assert isinstance(error, Transient)
        assert error.detail == "m at there: time-out: no whole answer in 0.05 s"


async def test_of_many_requests_each_has_its_own_time_out(server: Any, say: Any) -> None:
    server.says(say.hang)
    url = URL(f"http://127.0.0.1:{server.port}/v1")
    client = Client(url, PLACE, {}, 0.05)
    silent: list[asyncio.Task[EngineError]] = []
    for _ in range(3):
        silent.append(asyncio.create_task(failure(client, url)))
        await asyncio.sleep(0.02)
    assert all("time-out" in error.detail for error in await asyncio.gather(*silent))
    assert "time-out" in (await failure(client, url)).detail
    await client.close()


async def test_a_redirect_is_an_answer(server: Any, say: Any, opened: Open) -> None:
    server.says(say(b"", 302, Location="/elsewhere"))
    client, url = await opened()
    assert (await client.get(url)).status == 302
    assert len(server.asked) == 1


async def test_a_cancelled_call_leaves_no_answer_for_the_next(
    server: Any, say: Any, opened: Open
) -> None:
    server.says(say.hang, WHOLE["length"])
    client, url = await opened()
    call = asyncio.create_task(client.post(url, b"{}"))
    while not server.asked:
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await client.post(url, b"{}")).body == BODY


async def test_a_server_that_is_not_there_cannot_be_connected_to() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as gone:
        port = gone.sockets[0].getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/v1", "http://no-such-host.invalid/v1"):
        client = Client(URL(url), PLACE, {}, 20.0)
        error = await failure(client, URL(url))
        assert isinstance(error, Transient)
        assert "cannot connect" in error.detail
        await client.close()


async def test_connections_are_used_again_and_lost_ones_are_not() -> None:
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n{}")
            writer.write(WHOLE["length"])
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = URL(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1")
        client = Client(url, PLACE, {}, 20.0)
        for _ in range(3):
            await client.post(url, b"{}")
        assert len(connections) == 1
        await asyncio.gather(*(client.post(url, b"{}") for _ in range(4)))
        opened = len(connections)
        assert opened <= 4
        for writer in connections:
            writer.close()
            await writer.wait_closed()
        for _ in range(20):  # turns of the loop, for the client to notice
            await asyncio.sleep(0)
        assert (await client.post(url, b"{}")).body == BODY
        assert len(connections) == opened + 1
        await client.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for localhost, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "both.pem"
    asked = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    try:
        subprocess.run(["openssl", *asked.split(), *names, *files], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no openssl command to make a certificate with")
    made.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return made


async def test_a_server_is_spoken_to_over_tls_if_its_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n{}")
            writer.write(WHOLE["chunked"])
        writer.close()

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as listening:
        url = URL(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1")
        stranger = Client(url, PLACE, {}, 20.0)
        error = await failure(stranger, url)
        assert isinstance(error, Unusable)
        assert "certificate verify failed" in error.detail
        await stranger.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        client = Client(url, PLACE, {}, 20.0)
        for _ in range(2):
            assert (await client.post(url, b"{}")).body == BODY
        await client.close()
        for _ in range(20):  # turns of the loop, for TLS to say goodbye
            await asyncio.sleep(0)

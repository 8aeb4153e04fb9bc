"""Kept connections to one server, over plain asyncio: a sixth of the CPU of a general client."""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from typing import Final, cast

from yarl import URL

from prefmill.engines.http_answer import Answer, AnswerParser, BadAnswer, TooLarge

LONGEST_IDLE_S: Final = 15.0
"""A connection that was idle for longer is not used again: something may have dropped it."""

CONNECT_S: Final = 15.0

_KEEPALIVE_S: Final = 60


class ConnectError(OSError):
    """No connection could be made."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._parser = AnswerParser(largest)
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None
        self._unsent = b""
        self.usable = True
        self.since = 0.0
        """When it was asked or, if it is idle, when it answered."""

    def ask(self, request: bytes, now: float) -> asyncio.Future[Answer]:
        """The whole answer, later, to a request, which `send` sends. It raises TimeoutError,
        OSError, BadAnswer or TooLarge; then `abort`, else see whether it is `free`."""
        if not self.usable:
            raise ConnectionResetError("the server closed the connection")
        self._unsent, self.since = request, now
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def free(self) -> bool:
        """Whether another request may follow, now that one is answered; closes it if not."""
        self._waiter = None
        transport, parser = self._transport, self._parser
        kept = self.usable and parser.keep
        if transport is None or not kept or transport.get_write_buffer_size():
            self.close()
        if not parser.untouched:
            self._parser = AnswerParser(self._largest)
        self.since = self._loop.time()
        return self.usable

    def send(self) -> None:
        """Send what is asked."""
        if self._transport is not None and self.usable:
            request, self._unsent = self._unsent, b""
            self._transport.write(request)

    def expire(self, before: float) -> float | None:
        """Give up what was asked until `before`; when it was asked, if that is still waited for."""
        if self._waiter is None or self._waiter.done():
            return None
        if self.since > before:
            return self.since
        self._fail(TimeoutError())
        return None

    def close(self) -> None:
        """Close the connection, after what is still to be written."""
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """A part of the answer; or, if nothing was asked, a server that is out of step."""
        if self._waiter is None or self._unsent or self._waiter.done():
            self.abort()
            return
        try:
            answer = self._parser.feed(data)
        except (BadAnswer, TooLarge) as error:
            self._fail(error)
        else:
            if answer is not None:
                self._waiter.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed the connection, which may be the end of its answer."""
        self.usable = False
        if self._waiter is None or self._waiter.done():
            self._waiter = None  # its error holds who waited, and that holds this
            return
        try:
            answer = self._parser.end() if exc is None else None
        except (BadAnswer, TooLarge) as error:
            self._fail(error)
            return
        if answer is not None:
            self._waiter.set_result(answer)
        else:
            self._fail(exc or ConnectionResetError("the server closed the connection"))

    def _fail(self, error: BaseException) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class DirectSession:
    """As many connections as there are calls at once; idle ones are used again, newest first."""

    def __init__(self, url: URL, headers: dict[str, str], timeout_s: float, largest: int) -> None:
        self._host = url.raw_host or ""
        self._port = url.port or 80
        self._authority = url.authority
        self._tls = _tls() if url.scheme == "https" else None
        self._headers = headers
        self._timeout_s = timeout_s
        self._largest = largest
        self._heads: dict[tuple[str, URL], bytes] = {}
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._outbox: list[Connection] = []
        self._timer: asyncio.TimerHandle | None = None

    async def fetch(self, method: str, url: URL, body: bytes | None) -> Answer:
        """The answer. Raises TimeoutError, OSError, BadAnswer or TooLarge."""
        head = self._heads.get((method, url)) or self._head(method, url)
        length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        request = b"%b%b\r\n%b" % (head, length, body or b"")
        connection = self._newest_idle() or await self._connect()
        try:
            answer = await connection.ask(request, self._post(connection))
        except BaseException:
            connection.abort()
            self._open.discard(connection)
            raise
        if connection.free():
            self._idle.append(connection)
        else:
            self._open.discard(connection)
        return answer

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._open:
            connection.abort()
        self._open.clear()
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.sleep(0)

    def _post(self, connection: Connection) -> float:
        """Have what is asked next on this connection sent, with all that is asked in this turn
        of the loop: a server that is woken for one request stays awake for the others, and to
        wake it is most of what a request costs. The time from which it counts."""
        now = self._loop.time()
        if not self._outbox:
            self._loop.call_soon(self._send)
        self._outbox.append(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_s, self._expire)
        return now

    def _send(self) -> None:
        outbox, self._outbox = self._outbox, []
        for connection in outbox:
            connection.send()

    def _expire(self) -> None:
        """Give up what was asked too long ago. One timer for all requests, as all have the same
        time; it runs again when the oldest of the others is due."""
        now = self._loop.time()
        asked = [connection.expire(now - self._timeout_s) for connection in self._open]
        left = [since for since in asked if since is not None]
        wait = min(left) + self._timeout_s - now if left else 0.0
        self._timer = self._loop.call_later(wait, self._expire) if left else None

    def _newest_idle(self) -> Connection | None:
        oldest = self._loop.time() - LONGEST_IDLE_S
        while self._idle and self._idle[0].since < oldest:
            self._drop(self._idle.popleft())
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self._drop(connection)
        return None

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._open.discard(connection)

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(min(CONNECT_S, self._timeout_s)):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._largest), self._host, self._port, ssl=self._tls
                )
        except TimeoutError as error:
            raise ConnectError("no connection in time") from error
        except ssl.SSLCertVerificationError:
            raise
        except (OSError, UnicodeError) as error:
            raise ConnectError(str(error) or type(error).__name__) from error
        self._open.add(connection)
        return connection

    def _head(self, method: str, url: URL) -> bytes:
        lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"Host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        head = "".join(f"{line}\r\n" for line in lines).encode()
        self._heads[method, url] = head
        return head


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _keep_alive(connected: socket.socket) -> None:
    """An answer may take minutes, for which a connection is silent: middle boxes forget those."""
    with contextlib.suppress(OSError):  # it may be gone again
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)

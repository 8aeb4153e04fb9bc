"""An HTTP/1.1 answer, read from bytes as they come. RFC 9112; no I/O.

Comes in: what the socket gave. Goes out: one whole Answer. Never does: guess. What is not HTTP,
or is cut off, is a BadAnswer, and what is larger than allowed a TooLarge.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LARGEST_ANSWER: Final = 32 * 1024 * 1024
"""Bytes. A server that sends more is not read to its end."""

LARGEST_HEAD: Final = 64 * 1024

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: [^\r\n]*)?")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH: Final = re.compile(r"\d{1,15}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?")
_PLAIN: Final = ("", "identity")
_ZIPPED: Final = ("gzip", "x-gzip", "deflate")


class BadAnswer(ValueError):
    """What came is no HTTP/1.1 answer, or only a part of one."""


class TooLarge(ValueError):
    """The answer is larger than allowed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; the names in `headers` are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AnswerParser:
    """Reads one answer: `feed` it until it returns one, or call `end` at the end of the stream.
    `keep` then says whether the connection may carry another."""

    __slots__ = (
        "_body",
        "_buffer",
        "_chunked",
        "_headers",
        "_largest",
        "_length",
        "_status",
        "keep",
    )

    def __init__(self, largest: int = LARGEST_ANSWER) -> None:
        self._largest = largest
        self._buffer = bytearray()
        self._body = bytearray()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._length: int | None = None
        self._chunked = False
        self.keep = False

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole."""
        self._buffer += data
        while not self._status:
            if not self._read_head():
                return None
        if self._chunked:
            return self._read_chunks()
        if self._length is None:
            if len(self._buffer) > self._largest:
                raise TooLarge
            return None
        if len(self._buffer) < self._length:
            return None
        self.keep = self.keep and len(self._buffer) == self._length
        return self._answer(bytes(self._buffer[: self._length]))

    def end(self) -> Answer | None:
        """The stream has ended: the answer, if that was to be its end."""
        if self._status and self._length is None and not self._chunked:
            self.keep = False
            return self._answer(bytes(self._buffer))
        return None

    def _read_head(self) -> bool:
        """Whether a head was whole. One of 1xx only says that another follows."""
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0 and not b"HTTP/1.".startswith(self._buffer[:7]):
            raise BadAnswer(f"no HTTP/1.1: {bytes(self._buffer[:40])!r}")
        if at > LARGEST_HEAD or (at < 0 and len(self._buffer) > LARGEST_HEAD):
            raise BadAnswer("the headers do not end")
        if at < 0:
            return False
        lines = bytes(self._buffer[:at]).split(b"\r\n")
        del self._buffer[: at + 4]
        first = _STATUS.fullmatch(lines[0])
        if first is None:
            raise BadAnswer(f"no HTTP/1.1: {lines[0][:40]!r}")
        if (status := int(first[2])) >= 200:
            self._headers = _headers(lines[1:])
            self._frame(status, is_old=first[1] == b"0")
        return True

    def _frame(self, status: int, *, is_old: bool) -> None:
        """How long the body is, and whether the connection outlives it."""
        self._status = status
        connection = self._headers.get("connection", "").lower()
        self.keep = "close" not in connection and (not is_old or "keep-alive" in connection)
        coding = self._headers.get("transfer-encoding", "").lower()
        length = self._headers.get("content-length")
        if coding not in ("", "chunked"):
            raise BadAnswer(f"transfer encoding {coding[:40]!r}")
        if status in (204, 304):
            self._length = 0
        elif coding:
            self._chunked = True
        elif length is not None:
            if not _LENGTH.fullmatch(length):
                raise BadAnswer(f"content length {length[:40]!r}")
            self._length = int(length)
            if self._length > self._largest:
                raise TooLarge

    def _read_chunks(self) -> Answer | None:
        while (at := self._buffer.find(b"\r\n")) >= 0:
            size = _CHUNK.fullmatch(self._buffer[:at])
            if size is None:
                raise BadAnswer(f"chunk size {bytes(self._buffer[:at][:40])!r}")
            wanted = int(size[1], 16)
            if wanted == 0:
                return self._read_trailers(at)
            if len(self._body) + wanted > self._largest:
                raise TooLarge
            end = at + 2 + wanted
            if len(self._buffer) < end + 2:
                return None
            if not self._buffer.startswith(b"\r\n", end):
                raise BadAnswer("a chunk is longer than it says")
            self._body += self._buffer[at + 2 : end]
            del self._buffer[: end + 2]
        if len(self._buffer) > LARGEST_HEAD:
            raise BadAnswer("a chunk size does not end")
        return None

    def _read_trailers(self, at: int) -> Answer | None:
        """After the last chunk come no trailers, or some, and an empty line."""
        end = self._buffer.find(b"\r\n\r\n", at)
        if end < 0:
            if len(self._buffer) > LARGEST_HEAD:
                raise BadAnswer("the trailers do not end")
            return None
        self.keep = self.keep and len(self._buffer) == end + 4
        return self._answer(bytes(self._body))

    def _answer(self, body: bytes) -> Answer:
        coding = self._headers.get("content-encoding", "").lower()
        if coding not in _PLAIN:
            body = _unpacked(body, coding, self._largest)
        return Answer(self._status, self._headers, body)


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise BadAnswer(f"header {line[:40]!r}")
        key, text = name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")
        if headers.setdefault(key, text) != text and key == "content-length":
            raise BadAnswer("two content lengths")
    return headers


def _unpacked(body: bytes, coding: str, largest: int) -> bytes:
    """The body of a server that packs it though nobody asked for that."""
    if coding not in _ZIPPED:
        raise BadAnswer(f"content encoding {coding[:40]!r}")
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = unzip.decompress(body, largest + 1)
    except zlib.error as error:
        raise BadAnswer(f"content encoding {coding}: {error}") from error
    if len(plain) > largest:
        raise TooLarge
    if body and not unzip.eof:
        raise BadAnswer(f"content encoding {coding}: cut off")
    return plain

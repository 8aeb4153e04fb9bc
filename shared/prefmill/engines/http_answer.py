"""An HTTP/1.1 answer, read from bytes as they come. RFC 9112; no I/O.

Comes in: what the socket gave. Goes out: one whole Answer. Never does: guess. What is not HTTP,
or is cut off, is a BadAnswer, and what is larger than allowed a TooLarge.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgspec

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


class Answer(msgspec.Struct, frozen=True):
    """A whole HTTP answer; the names in `headers` are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Head:
    """What a head says: how long the body is (None: to the end of the stream), and whether the
    connection outlives it. `plain`: so long is a body that is not packed; -1: it is, or has no
    length."""

    status: int
    headers: Mapping[str, str]
    length: int | None
    chunked: bool
    keep: bool
    plain: int


class AnswerParser:
    """Reads one answer: `feed` it until it returns one, or call `end` at the end of the stream.
    `keep` then says whether the connection may carry another."""

    __slots__ = ("_body", "_buffer", "_head", "_largest", "keep")

    def __init__(self, largest: int = LARGEST_ANSWER) -> None:
        self._largest = largest
        self._buffer = bytearray()
        self._body = bytearray()
        self._head: _Head | None = None
        self.keep = False

    @property
    def untouched(self) -> bool:
        """Whether nothing of an answer is kept here: it may read another one."""
        return self._head is None and not self._buffer

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole."""
        if self._head is None and not self._buffer and (answer := self._at_once(data)) is not None:
            return answer
        self._buffer += data
        while self._head is None:
            if not self._read_head():
                return None
        if self._head.chunked:
            return self._read_chunks()
        length = self._head.length
        if length is None:
            if len(self._buffer) > self._largest:
                raise TooLarge
            return None
        if len(self._buffer) < length:
            return None
        self.keep = self.keep and len(self._buffer) == length
        return self._answer(self._head, bytes(self._buffer[:length]))

    def _at_once(self, data: bytes) -> Answer | None:
        """The answer, if the data are all of it and nothing else: most come like that."""
        at = data.find(b"\r\n\r\n")
        if not 0 < at <= LARGEST_HEAD:
            return None
        head, body = _read(data[:at]), data[at + 4 :]
        if head.plain != len(body) or head.plain > self._largest:
            return None
        self.keep = head.keep
        return Answer(head.status, head.headers, body)

    def end(self) -> Answer | None:
        """The stream has ended: the answer, if that was to be its end."""
        head = self._head
        if head is not None and head.length is None and not head.chunked:
            self.keep = False
            return self._answer(head, bytes(self._buffer))
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
        head = _read(bytes(self._buffer[:at]))
        del self._buffer[: at + 4]
        if head.status >= 200:
            self._head, self.keep = head, head.keep
            if head.length is not None and head.length > self._largest:
                raise TooLarge
        return True

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
        assert self._head is not None, "chunks follow a head"
        return self._answer(self._head, bytes(self._body))

    def _answer(self, head: _Head, body: bytes) -> Answer:
        coding = _coding(head.headers)
        if coding not in _PLAIN:
            body = _unpacked(body, coding, self._largest)
        return Answer(head.status, head.headers, body)


@lru_cache(maxsize=256)
def _read(raw: bytes) -> _Head:
    """The head, without the empty line. Remembered: a server says the same again and again."""
    lines = raw.split(b"\r\n")
    first = _STATUS.fullmatch(lines[0])
    if first is None:
        raise BadAnswer(f"no HTTP/1.1: {lines[0][:40]!r}")
    status, headers = int(first[2]), MappingProxyType[str, str]({})
    if status < 200:
        return _Head(status, headers, None, chunked=False, keep=False, plain=-1)
    headers = MappingProxyType(_headers(lines[1:]))
    connection = headers.get("connection", "").lower()
    keep = "close" not in connection and (first[1] == b"1" or "keep-alive" in connection)
    length, chunked = _framing(status, headers)
    plain = -1 if length is None or _coding(headers) not in _PLAIN else length
    return _Head(status, headers, length, chunked, keep, plain)


def _framing(status: int, headers: Mapping[str, str]) -> tuple[int | None, bool]:
    """How long the body is, if it says so, and whether it comes in chunks."""
    transfer = headers.get("transfer-encoding", "").lower()
    if transfer not in ("", "chunked"):
        raise BadAnswer(f"transfer encoding {transfer[:40]!r}")
    if status in (204, 304):
        return 0, False
    length = headers.get("content-length")
    if transfer or length is None:
        return None, bool(transfer)
    if not _LENGTH.fullmatch(length):
        raise BadAnswer(f"content length {length[:40]!r}")
    return int(length), False


def _coding(headers: Mapping[str, str]) -> str:
    return headers.get("content-encoding", "").lower()


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

"""A small HTTP server on the loopback, for the length of a `with`: what the local services for
tests stand on."""

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class LocalHandler(BaseHTTPRequestHandler):
    """Answers every method by `answer`, and says nothing. `local` is the server's own state."""

    local: Any

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def answer(self) -> None:
        """Whatever was asked."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def cut(self) -> None:
        """Drop the connection without an answer."""
        self.close_connection = True
        self.connection.close()


@dataclass
class LocalServer(ABC):
    """On a free port, until the `with` ends."""

    address: str = field(default="", init=False)

    @abstractmethod
    def handler(self) -> type[LocalHandler]:
        """What answers."""

    def __enter__(self) -> Self:
        answering = type("Answering", (self.handler(),), {"local": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), answering)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

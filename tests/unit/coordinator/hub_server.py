"""A Hub of one's own for tests: repositories in memory, over HTTP, as far as reading needs it."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

SHA = "0123456789abcdef0123456789abcdef01234567"
Files = dict[str, bytes]


@contextmanager
def serving(repositories: dict[str, Files], gated: str) -> Iterator[str]:
    """The address of a Hub that has these repositories; `gated` wants a token."""

    class Handler(_Handler):
        hub = repositories
        closed = gated

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: dict[str, Files]
    closed: str

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def _route(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(self.path.split("?")[0])
        repository = re.match(r"/(?:api/)?datasets/([^/]+/[^/]+)(?:/(.*))?$", path)
        files = self.hub.get(repository[1]) if repository else None
        if repository is None or files is None:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if repository[1] == self.closed and "Authorization" not in self.headers:
            return self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        rest = repository[2] or ""
        if rest.startswith("resolve/"):
            return self._file(files, rest.split("/", 2)[2])
        if rest.startswith("revision/") and rest.removeprefix("revision/") not in ("main", SHA):
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        return self._json(self._answer(repository[1], files, rest, body))

    def _answer(self, name: str, files: Files, rest: str, body: bytes) -> Any:
        if rest.startswith("tree/"):
            folder = rest.removeprefix("tree/").partition("/")[2]
            return _entries(files, folder)
        if rest.startswith("paths-info/"):
            asked = parse_qs(body.decode()).get("paths", [])
            if body.startswith(b"{"):
                asked = json.loads(body)["paths"]
            return [e for path in asked for e in _entries(files, "") if e["path"] == path]
        siblings = [{"rfilename": path} for path in files]
        return {"id": name, "sha": SHA, "siblings": siblings, "tags": [], "private": False}

    def _file(self, files: Files, path: str) -> None:
        if path not in files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        content = files[path]
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        span = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if span is None:
            return self._send(200, content, headers)
        last = min(int(span[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = f"bytes {span[1]}-{last}/{len(content)}"
        return self._send(206, content[int(span[1]) : last + 1], headers)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _oid(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _entries(files: Files, folder: str) -> list[dict[str, Any]]:
    """All files and folders below a folder."""
    entries: dict[str, dict[str, Any]] = {}
    for path, content in files.items():
        if not path.startswith(f"{folder}/" if folder else ""):
            continue
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            entries[above] = {"type": "directory", "path": above, "size": 0, "oid": "0" * 40}
        entries[path] = {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
    return list(entries.values())

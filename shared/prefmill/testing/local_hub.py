"""A Hub of one's own for tests: repositories in memory, over HTTP, as far as `huggingface_hub` and
`datasets` need it to write and to read.

    with LocalHub() as hub:
        os.environ["HF_ENDPOINT"] = hub.address

It can refuse, and drop connections, so that a test sees what becomes of an upload then.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from prefmill.testing.local_server import LocalHandler, LocalServer

Headers = dict[str, str]
LARGE: Final = 1_000_000
"""Files above it, and all parquet, travel as LFS objects."""


@dataclass
class Repository:
    """One dataset: its files, and how often something was committed to it."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    commits: int = 0

    @property
    def sha(self) -> str:
        """Of the last commit."""
        return hashlib.sha1(str(self.commits).encode()).hexdigest()  # noqa: S324 - as git does


@dataclass
class LocalHub(LocalServer):
    """A server on a free port of the loopback, until the `with` ends."""

    repositories: dict[str, Repository] = field(default_factory=dict[str, Repository])
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Uploaded LFS objects, by SHA-256."""
    refuse: int = 0
    """The status that answers every write, if any: 403, 500, …"""
    drop_after: int | None = None
    """So many uploads are taken; then every one is cut off, until it is set to None."""
    gate: threading.Event | None = None
    """Uploads wait for it, if there is one: a slow connection."""
    uploads: list[str] = field(default_factory=list[str])
    """The objects taken, in order."""

    def handler(self) -> type[LocalHandler]:
        """What answers."""
        return _Handler


class _Handler(LocalHandler):
    protocol_version = "HTTP/1.1"
    local: LocalHub

    def answer(self) -> None:
        """Whatever was asked."""
        body = self._body()
        path = unquote(self.path.split("?")[0])
        writes = ("create", "commit/", "_lfs/", "preupload/")
        if self.local.refuse and any(part in path for part in writes):
            return self._send(self.local.refuse, b'{"error": "refused"}')
        if path.startswith("/_lfs/"):
            return self._take(path.removeprefix("/_lfs/"), body)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if path == "/api/whoami-v2":
            return self._json({"name": "me", "type": "user", "orgs": []})
        found = re.match(r"/(?:api/)?datasets/([^/]+/[^/]+?)(?:\.git)?(?:/(.*))?$", path)
        repository = self.local.repositories.get(found[1]) if found else None
        if found is None or repository is None:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        return self._repository(found[1], repository, found[2] or "", body)

    def _repository(self, name: str, repository: Repository, rest: str, body: bytes) -> None:
        if rest.startswith("resolve/"):
            return self._file(repository, rest.split("/", 2)[2])
        if rest == "info/lfs/objects/batch":
            return self._batch(json.loads(body)["objects"])
        if rest.startswith("preupload/"):
            return self._preupload(json.loads(body)["files"])
        if rest.startswith("commit/"):
            return self._commit(name, repository, body)
        if rest.startswith("tree/"):
            return self._json(_entries(repository.files, rest.split("/", 2)[2:], self.path))
        if rest.startswith("paths-info/"):
            asked = _asked(body)
            entries = _entries(repository.files, [], "recursive=true")
            return self._json([entry for entry in entries if entry["path"] in asked])
        siblings = [{"rfilename": path} for path in repository.files]
        return self._json(
            {
                "id": name,
                "sha": repository.sha,
                "private": repository.private,
                "siblings": siblings,
                "tags": [],
                "downloads": 0,
                "likes": 0,
            }
        )

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        known = name in self.local.repositories
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.local.repositories.setdefault(name, Repository(private))
        url = f"{self.local.address}/datasets/{name}"
        self._json({"url": url, "name": name, "id": name}, 409 if known else 200)

    def _preupload(self, files: Iterable[dict[str, Any]]) -> None:
        def mode(file: dict[str, Any]) -> str:
            large = file["size"] > LARGE or file["path"].endswith(".parquet")
            return "lfs" if large else "regular"

        told = [
            {"path": file["path"], "uploadMode": mode(file), "shouldIgnore": False, "oid": None}
            for file in files
        ]
        self._json({"files": told})

    def _batch(self, objects: Iterable[dict[str, Any]]) -> None:
        def wanted(oid: str) -> dict[str, Any]:
            if oid in self.local.objects:
                return {}
            return {
                "actions": {"upload": {"href": f"{self.local.address}/_lfs/{oid}", "header": {}}}
            }

        told = [{"oid": o["oid"], "size": o["size"], **wanted(o["oid"])} for o in objects]
        self._json({"transfer": "basic", "objects": told})

    def _take(self, oid: str, body: bytes) -> None:
        if self.local.gate is not None:
            self.local.gate.wait()
        if self.local.drop_after is not None and len(self.local.uploads) >= self.local.drop_after:
            self.cut()
            return
        if hashlib.sha256(body).hexdigest() != oid:
            self._send(400, b"{}")
            return
        self.local.objects[oid] = body
        self.local.uploads.append(oid)
        self._json({})

    def _commit(self, name: str, repository: Repository, body: bytes) -> None:
        for line in body.splitlines():
            change = json.loads(line)
            value: Any = change["value"]
            if change["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif change["key"] == "lfsFile":
                repository.files[value["path"]] = self.local.objects[value["oid"]]
            elif change["key"] == "deletedFile":
                repository.files.pop(value["path"], None)
        repository.commits += 1
        url = f"{self.local.address}/datasets/{name}/commit/{repository.sha}"
        self._json({"success": True, "commitUrl": url, "commitOid": repository.sha})

    def _file(self, repository: Repository, path: str) -> None:
        content = repository.files.get(path)
        if content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": repository.sha}
        span = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if span is None:
            self._send(200, content, headers)
            return
        last = min(int(span[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = f"bytes {span[1]}-{last}/{len(content)}"
        self._send(206, content[int(span[1]) : last + 1], headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: Headers | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _asked(body: bytes) -> list[str]:
    if body.startswith(b"{"):
        paths: Any = json.loads(body)["paths"]
        return [paths] if isinstance(paths, str) else paths
    return parse_qs(body.decode()).get("paths", [])


def _entries(files: dict[str, bytes], below: list[str], query: str) -> list[dict[str, Any]]:
    folder = f"{below[0]}/" if below and below[0] else ""
    deep = "recursive=true" in query.lower()
    found: dict[str, dict[str, Any]] = {}
    for path, content in files.items():
        if not path.startswith(folder):
            continue
        parts = path.removeprefix(folder).split("/")
        for depth in range(1, len(parts)):
            above = folder + "/".join(parts[:depth])
            if deep or depth == 1:
                found[above] = {"type": "directory", "path": above, "size": 0, "oid": "0" * 40}
        if deep or len(parts) == 1:
            size = len(content)
            found[path] = {"type": "file", "path": path, "size": size, "oid": _oid(content)}
    return list(found.values())


def _oid(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

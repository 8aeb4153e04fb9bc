"""Talks to a coordinator's HTTP API. Light on purpose: the standard library's client is enough for
a few requests a second."""

import http.client
import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from urllib.parse import quote, urlsplit

from prefmill.cli.stop import FAILED, WRONG, Stop
from prefmill.contracts.api import (
    ExportRequest,
    ExportStatus,
    LaneDemand,
    RowStatus,
    RunPlan,
    RunRequest,
    RunStatus,
    StoredRecipe,
    Upload,
    WorkerStatus,
)
from prefmill.plugins.errors import RecipeError

TIMEOUT_S = 60.0


class Unreachable(Exception):
    """Nobody answers at the address."""


class NoAnswer(Stop):
    """Nobody answers now, or the coordinator is in trouble; it may be back in a moment."""


class Missing(Stop):
    """What was asked for is not there."""


@dataclass(frozen=True)
class Streamed:
    """A body read from a file while it is sent."""

    file: BinaryIO
    size: int


class Client:
    """The API at `url`. Errors of the user's end as Stop; a refused recipe raises RecipeError."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Stop(
                WRONG, f"error: {url} is no address of a coordinator; write http://HOST:PORT"
            )
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path
        self._secure = parts.scheme == "https"

    def ready(self) -> bool:
        """Whether the API answers."""
        try:
            status, _ = self._send("GET", "/healthz", None)
        except Unreachable:
            return False
        return status == 200

    def plan(self, request: RunRequest) -> RunPlan:
        """What a recipe would call."""
        dry = request.model_copy(update={"dry_run": True})
        return RunPlan.model_validate(self._ask("POST", "/v1/runs", _dumped(dry)))

    def submit(self, request: RunRequest) -> RunStatus:
        """Run a recipe, or go on with it."""
        return RunStatus.model_validate(self._ask("POST", "/v1/runs", _dumped(request)))

    def runs(self) -> list[RunStatus]:
        """All runs, newest first."""
        return [RunStatus.model_validate(run) for run in self._ask("GET", "/v1/runs")]

    def named(self, name: str) -> RunStatus | None:
        """The run of that name, if there is one."""
        found = self._ask("GET", f"/v1/runs?name={quote(name)}")
        known = map(RunStatus.model_validate, found)
        return next((run for run in known if run.name == name), None)

    def status(self, run: int) -> RunStatus:
        """How far a run is."""
        return RunStatus.model_validate(self._ask("GET", f"/v1/runs/{run}"))

    def recipe(self, run: int) -> StoredRecipe:
        """What the run's newest revision was made of."""
        return StoredRecipe.model_validate(self._ask("GET", f"/v1/runs/{run}/recipe"))

    def act(self, run: int, action: str) -> RunStatus:
        """pause, resume, cancel or retry."""
        return RunStatus.model_validate(self._ask("POST", f"/v1/runs/{run}/{quote(action)}"))

    def export(self, run: int, request: ExportRequest) -> ExportStatus:
        """Ask for datasets."""
        body = request.model_dump(mode="json", exclude_unset=True)
        return ExportStatus.model_validate(self._ask("POST", f"/v1/runs/{run}/exports", body))

    def export_status(self, run: int, export: int) -> ExportStatus:
        """How far an export is."""
        found = self._ask("GET", f"/v1/runs/{run}/exports/{export}")
        return ExportStatus.model_validate(found)

    def failed_rows(self, run: int) -> Iterator[RowStatus]:
        """The rows with a failure, page by page."""
        after = -1
        while True:
            path = f"/v1/runs/{run}/rows?failed=true&limit=500&after={after}"
            page = self._ask("GET", path)
            yield from (RowStatus.model_validate(row) for row in page["rows"])
            if page["after"] is None:
                return
            after = page["after"]

    def export_failures(self, run: int, export: int) -> Iterator[dict[str, Any]]:
        """The lines of an export's `failures.jsonl`."""
        with self._opened("GET", f"/v1/runs/{run}/exports/{export}/failures", None) as response:
            if response.status >= 400:
                raise self._error(response.status, _answer(response.read()).get("detail"))
            yield from map(json.loads, response)

    def workers(self) -> list[WorkerStatus]:
        """The live workers."""
        return [WorkerStatus.model_validate(w) for w in self._ask("GET", "/v1/workers")]

    def lanes(self) -> list[LaneDemand]:
        """The lanes of active runs that want devices of their own."""
        return [LaneDemand.model_validate(lane) for lane in self._ask("GET", "/v1/lanes")]

    def uploaded(self, sha256: str) -> bool:
        """Whether a file of this hash is there already."""
        path = f"/v1/uploads/{sha256}"
        try:
            self._ask("GET", path)
        except Missing:
            return False
        return True

    def upload(self, file: BinaryIO, size: int) -> Upload:
        """Send a file, in pieces."""
        return Upload.model_validate(self._ask("POST", "/v1/uploads", Streamed(file, size)))

    @contextmanager
    def download(self, run: int, export: int) -> Generator[BinaryIO]:
        """The tar file of an export, as it comes."""
        path = f"/v1/runs/{run}/exports/{export}/download"
        with self._opened("GET", path, None) as response:
            if response.status >= 400:
                raise self._error(response.status, _answer(response.read()).get("detail"))
            yield response

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        try:
            status, text = self._send(method, path, body)
        except Unreachable as error:
            raise NoAnswer(
                FAILED, f"error: no coordinator answers at {self.url} ({error}); is it running?"
            ) from error
        answer = _answer(text)
        if status >= 400:
            raise self._error(status, answer.get("detail"))
        return answer

    def _error(self, status: int, detail: Any) -> Exception:
        if status == 422 and isinstance(detail, list):
            return RecipeError(*map(_problem, cast("list[Any]", detail)))
        if status == 401:
            return Stop(WRONG, f"error: {self.url} wants a bearer token; set PREFMILL_TOKEN")
        if status >= 500:
            return NoAnswer(
                FAILED, f"error: {self.url} answers {status}: {detail}; see the coordinator's log"
            )
        kind = Missing if status == 404 else Stop
        return kind(WRONG if status in (404, 409) else FAILED, f"error: {detail}")

    def _send(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        with self._opened(method, path, body) as response:
            return response.status, response.read()

    @contextmanager
    def _opened(self, method: str, path: str, body: Any) -> Generator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=TIMEOUT_S)
        payload, headers = _payload(body)
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may answer before the end
                connection.request(method, self._path + path, payload, headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        finally:
            connection.close()


def _payload(body: Any) -> tuple[Any, dict[str, str]]:
    if isinstance(body, Streamed):
        kind = "application/octet-stream"
        return body.file, {"Content-Type": kind, "Content-Length": str(body.size)}
    json_body = None if body is None else json.dumps(body).encode()
    return json_body, {"Content-Type": "application/json"}


def _answer(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"detail": text[:200].decode(errors="replace")}


def _dumped(request: RunRequest) -> dict[str, Any]:
    dumped = request.model_dump(mode="json", exclude={"recipe"})
    return {**dumped, "recipe": request.recipe.model_dump(mode="json", exclude_unset=True)}


def _problem(found: Any) -> str:
    """A problem of ours is a sentence; FastAPI's own are records."""
    if not isinstance(found, dict):
        return str(found)
    record = cast("dict[str, Any]", found)
    place = ".".join(map(str, record.get("loc", ())[2:]))
    return f"{place}: {record.get('msg')}"

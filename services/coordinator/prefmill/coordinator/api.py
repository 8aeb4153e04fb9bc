"""The HTTP API. Routes are thin: they ask the actions and give what the contracts say."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from prefmill.contracts.api import (
    ExportRequest,
    ExportStatus,
    LaneDemand,
    RowPage,
    RunPlan,
    RunRequest,
    RunStatus,
    StoredRecipe,
    WorkerStatus,
)
from prefmill.coordinator.actions import Actions, Refused
from prefmill.coordinator.archive import archive
from prefmill.coordinator.dead import dead
from prefmill.coordinator.described import pages
from prefmill.coordinator.pages import row_page
from prefmill.coordinator.sending import sending
from prefmill.coordinator.status import RunAction, export_status
from prefmill.ledger import exports, runs
from prefmill.ledger.runs import Run
from prefmill.plugins.errors import RecipeError

EVENT_S: Final = 1.0
"""Between two looks for a changed status."""


def create_api(actions: Actions, token: str | None) -> FastAPI:
    """The application. With a token, all but probes and descriptions want it."""
    app = FastAPI(title="prefmill coordinator", version="1", docs_url=None, redoc_url=None)
    app.state.actions = actions
    app.state.token = token
    app.include_router(probes)
    app.include_router(pages)
    for router in (routes, sending, dead):
        app.include_router(router, prefix="/v1", dependencies=[Depends(_guard)])
    app.add_exception_handler(RecipeError, _recipe_error)
    app.add_exception_handler(Refused, _refused)
    return app


async def _recipe_error(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RecipeError)
    return JSONResponse({"detail": list(error.problems)}, status_code=422)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    del request
    return JSONResponse({"detail": str(error)}, status_code=409)


async def _guard(request: Request) -> None:
    token: str | None = request.app.state.token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token is not None and not secrets.compare_digest(given.encode(), token.encode()):
        raise HTTPException(401, "a bearer token is needed: set PREFMILL_TOKEN")


async def _actions(request: Request) -> Actions:
    return request.app.state.actions


Doing = Annotated[Actions, Depends(_actions)]


async def _run(run_id: int, actions: Doing) -> Run:
    try:
        return await actions.run(run_id)
    except Refused as error:
        raise HTTPException(404, str(error)) from error


Found = Annotated[Run, Depends(_run)]

probes = APIRouter()
routes = APIRouter()


@probes.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok")


@probes.get("/readyz")
async def readyz(actions: Doing) -> PlainTextResponse:
    """The coordinator moves runs on."""
    problem = actions.conductor.unready()
    return PlainTextResponse(problem or "ready", status_code=503 if problem else 200)


@probes.get("/metrics")
async def metrics() -> Response:
    """For Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@routes.post("/runs")
async def submit(request: RunRequest, actions: Doing) -> RunStatus | RunPlan:
    """Run a recipe, or go on with it; with `dry_run`, only say what would be called."""
    return await (actions.plan(request) if request.dry_run else actions.submit(request))


@routes.get("/runs")
async def list_runs(actions: Doing, name: str | None = None) -> list[RunStatus]:
    """All runs, newest first; with `name`, only that one."""
    return await actions.all(name)


@routes.get("/runs/{run_id}")
async def status(run: Found, actions: Doing) -> RunStatus:
    """How far a run is."""
    return await actions.status(run)


@routes.get("/runs/{run_id}/recipe")
async def recipe(run: Found, actions: Doing) -> StoredRecipe:
    """The recipe of its newest revision."""
    async with actions.conductor.ledger.begin() as connection:
        stored = await runs.recipe_of(connection, run.id, run.revision)
    return StoredRecipe(revision=run.revision, recipe=stored)


@routes.get("/runs/{run_id}/rows")
async def rows(
    run: Found,
    actions: Doing,
    after: int = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    failed: bool = False,
) -> RowPage:
    """Rows beyond position `after`; with `failed`, only those with a failure."""
    return await row_page(actions.conductor.ledger, run, after, limit, failed=failed)


@routes.get("/runs/{run_id}/events")
async def events(run: Found, actions: Doing) -> StreamingResponse:
    """Server-sent events: the run's status whenever it has changed, until it ends."""
    return StreamingResponse(_events(run.id, actions), media_type="text/event-stream")


@routes.get("/runs/{run_id}/exports")
async def list_exports(run: Found, actions: Doing) -> list[ExportStatus]:
    """The exports of a run: those made as its recipe says, then others; each newest first."""
    return list((await actions.status(run)).exports)


@routes.post("/runs/{run_id}/exports")
async def export(run: Found, request: ExportRequest, actions: Doing) -> ExportStatus:
    """Ask for datasets from what is stored."""
    return await _export(actions, await actions.export(run, request))


@routes.get("/runs/{run_id}/exports/{export_id}")
async def one_export(run: Found, export_id: int, actions: Doing) -> ExportStatus:
    """How far an export is."""
    del run
    return await _export(actions, export_id)


@routes.get("/runs/{run_id}/exports/{export_id}/download")
async def download(run: Found, export_id: int, actions: Doing) -> StreamingResponse:
    """The files of an export, as one tar file."""
    folder = await _folder(actions, export_id)
    return await asyncio.to_thread(archive, run.name, folder)


@routes.get("/runs/{run_id}/exports/{export_id}/failures")
async def failures(run: Found, export_id: int, actions: Doing) -> FileResponse:
    """Its `failures.jsonl`: what failed in the run, and the prompts on which a transform after
    pooling failed."""
    del run
    folder = await _folder(actions, export_id)
    return FileResponse(folder / "failures.jsonl", media_type="application/x-ndjson")


@routes.post("/runs/{run_id}/{action}")
async def act(run: Found, action: RunAction, actions: Doing) -> RunStatus:
    """Pause, resume or cancel a run, or have its failed cells tried again."""
    return await actions.act(run, action)


@routes.get("/workers")
async def workers(actions: Doing) -> list[WorkerStatus]:
    """The live workers and their lanes."""
    return actions.conductor.fleet.workers()


@routes.get("/lanes")
async def lanes(actions: Doing) -> list[LaneDemand]:
    """The lanes of active runs whose workers need devices of their own."""
    return await actions.demands()


async def _export(actions: Actions, export_id: int) -> ExportStatus:
    async with actions.conductor.ledger.begin() as connection:
        found = await exports.export_by_id(connection, export_id)
    if found is None:
        raise HTTPException(404, f"there is no export {export_id}")
    return export_status(found)


async def _folder(actions: Actions, export_id: int) -> Path:
    """Where a written export lies here."""
    found = await _export(actions, export_id)
    if found.state != "written":
        raise HTTPException(409, f"export {export_id} is {found.state}; try again later")
    if "://" in found.directory:
        raise HTTPException(410, f"it is in an object store: {found.directory}")
    folder = Path(found.directory)
    if not await asyncio.to_thread(folder.is_dir):
        raise HTTPException(410, f"{folder} is not on this machine any more; export again")
    return folder


async def _events(run_id: int, actions: Actions) -> AsyncGenerator[str]:
    last = ""
    while True:
        now = await actions.status(await actions.run(run_id))
        body = now.model_dump_json()
        if body != last:
            last = body
            yield f"data: {body}\n\n"
        exported = all(export.state in ("written", "failed") for export in now.exports)
        if now.state in ("finished", "cancelled", "failed") and exported:
            return
        await asyncio.sleep(EVENT_S)

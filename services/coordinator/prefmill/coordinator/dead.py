"""Routes for batches that were given up."""

from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Query, Request

from prefmill.contracts.api import DeadBatch, RunStatus
from prefmill.coordinator.actions import Actions
from prefmill.ledger.replay import Dead, dead_batch, dead_batches

dead: Final = APIRouter()


@dead.get("/dead")
async def list_dead(
    request: Request,
    before: int | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[DeadBatch]:
    """Batches given up and not replayed, newest first; of ids below `before`."""
    async with _actions(request).conductor.ledger.begin() as connection:
        found = await dead_batches(connection, before=before, limit=limit)
    return [_shown(batch) for batch in found]


@dead.post("/dead/{dead_id}/replay")
async def replay_dead(dead_id: int, request: Request) -> RunStatus:
    """Have the cells of a batch asked again, those that failed with fresh attempts. It is no
    longer listed then."""
    actions = _actions(request)
    async with actions.conductor.ledger.begin() as connection:
        found = await dead_batch(connection, dead_id)
    if found is None:
        raise HTTPException(404, f"there is no dead batch {dead_id}; it may have been replayed")
    return await actions.replay(found)


def _actions(request: Request) -> Actions:
    return request.app.state.actions


def _shown(batch: Dead) -> DeadBatch:
    kind, _, lane = batch.subject.partition(".")
    return DeadBatch(
        id=batch.id,
        run=batch.work.run if batch.work else None,
        kind="judge" if kind == "judge" else "generate",
        lane=lane.partition(".")[2],
        rows=tuple(dict.fromkeys(row.row for row in batch.work.rows)) if batch.work else (),
        error=batch.error,
        deliveries=batch.deliveries,
        at=batch.at,
    )

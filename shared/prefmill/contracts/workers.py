"""Lanes and the workers that serve them: core NATS announcements, any of which may be lost."""

from typing import Literal

from pydantic import Field, JsonValue

from prefmill.contracts.base import Frozen
from prefmill.contracts.work import LaneKind

LaneHealth = Literal["probing", "ready", "unusable"]


class LaneSpec(Frozen):
    """A lane: the queue of one model or judge, and all a worker needs to serve it. No secrets:
    keys come from the worker's environment."""

    kind: LaneKind = Field(description="Which service serves it.")
    slug: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="Stands in subjects.")
    digest: str = Field(description="Of engine, model, revision and options, hex.")
    engine: str = Field(description="Name of the engine plugin.")
    options: dict[str, JsonValue] = Field(description="The engine's options.")
    concurrency: int = Field(default=64, ge=1, description="Calls in flight at once, a worker.")


def needs_devices(spec: LaneSpec) -> bool:
    """Whether the worker runs the model itself, on devices that are its own: by what the engine's
    options have, so that nobody needs the engine to know."""
    return "gpus" in spec.options


class LanesOpened(Frozen):
    """The coordinator's list of lanes that have work. Workers told to host any lane open them."""

    lanes: tuple[LaneSpec, ...] = Field(description="All lanes with work, not only new ones.")
    clear: tuple[str, ...] = Field(default=(), description="Paused lanes to be tried again.")


class LaneServed(Frozen):
    """How one worker stands with one lane."""

    slug: str = Field(description="Of the lane.")
    kind: LaneKind = Field(description="Of the lane.")
    digest: str = Field(description="Of the lane.")
    slots: int = Field(ge=0, description="Calls it can have in flight.")
    busy: int = Field(default=0, ge=0, description="Calls in flight now.")
    health: LaneHealth = Field(description="Only `ready` ones take batches.")
    detail: str = Field(default="", description="Why it is not ready, or waits; for a person.")


class WorkerAnnounced(Frozen):
    """A worker's sign of life, every few seconds, and at once when a lane's health changes."""

    worker: str = Field(description="Unique name of the process.")
    service: Literal["generator", "judge"] = Field(description="Which service it is.")
    version: str = Field(description="Of the distribution.")
    stopping: bool = Field(default=False, description="The last announcement of a worker.")
    lanes: tuple[LaneServed, ...] = Field(default=(), description="What it serves.")


class BatchesWithdrawn(Frozen):
    """Batches that nobody wants any more: workers drop those they have not started."""

    batches: tuple[str, ...] = Field(description="Ids.")

"""A lane from what a recipe or an installation says of a model: the same on both sides."""

import re

from prefmill.contracts.recipe import ModelSpec
from prefmill.contracts.work import LaneKind
from prefmill.contracts.workers import LaneSpec
from prefmill.plugins import registry
from prefmill.plugins.digest import digest_of
from prefmill.plugins.engine import Engine, EngineOptions
from prefmill.plugins.errors import RecipeError


def engine_of(where: str, spec: ModelSpec) -> tuple[Engine, EngineOptions]:
    """The engine of a model and its checked options. RecipeError names what is wrong."""
    if not spec.engine:
        raise RecipeError(f"{where}.engine: missing; name the engine that runs this model")
    try:
        plugin = registry.load("engines", spec.engine)
    except RecipeError as error:
        raise RecipeError(f"{where}.engine: {error}") from error
    options: EngineOptions = registry.options_of(plugin, spec.options(), where)
    return plugin(options), options


def lane_of(kind: LaneKind, spec: ModelSpec, options: EngineOptions) -> LaneSpec:
    """The lane of a model. Its slug is the name under which the model is deployed, or else a
    readable part of the model's id and its digest."""
    dumped = options.model_dump(mode="json")
    digest = digest_of(kind, spec.engine, dumped).hex()
    readable = re.sub(r"[^a-z0-9]+", "-", options.model.rsplit("/", 1)[-1].lower()).strip("-")
    return LaneSpec(
        kind=kind,
        slug=spec.lane or f"{readable[:40] or 'model'}-{digest[:10]}",
        digest=digest,
        engine=spec.engine,
        options=dumped,
        concurrency=spec.concurrency,
    )

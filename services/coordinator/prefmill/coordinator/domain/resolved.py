"""A recipe with all its plugins found and their options checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from prefmill.contracts.chat import Params
from prefmill.contracts.recipe import ModelSpec, Recipe
from prefmill.contracts.work import LaneKind
from prefmill.contracts.workers import LaneSpec
from prefmill.plugins import registry
from prefmill.plugins.digest import digest_of
from prefmill.plugins.engine import Engine
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.format import FormatContext
from prefmill.plugins.lanes import engine_of, lane_of
from prefmill.plugins.outputs import formats_of
from prefmill.plugins.pool import pools_of
from prefmill.plugins.rubric import Rubric
from prefmill.plugins.sampler import Sampler
from prefmill.plugins.source import Source


@dataclass(frozen=True)
class ResolvedModel:
    """A model or judge of a recipe: its lane, and `key`, the digest (32 bytes) of all that
    determines its answers to a given row."""

    kind: LaneKind
    alias: str
    spec: ModelSpec
    engine: Engine
    params: Params
    lane: LaneSpec
    key: bytes

    @property
    def model(self) -> str:
        """The model id."""
        return str(self.lane.options["model"])


@dataclass(frozen=True)
class ResolvedRubric:
    """The rubric, with what a judge needs to make the same one."""

    name: str
    options: dict[str, JsonValue]
    rubric: Rubric


@dataclass(frozen=True)
class Resolved:
    """All that a recipe says, ready to be used."""

    recipe: Recipe
    source: Source
    sampler: Sampler | None
    models: tuple[ResolvedModel, ...]
    judges: tuple[ResolvedModel, ...]
    rubric: ResolvedRubric | None

    @property
    def least_generations(self) -> int:
        """Usable generations a row needs to be judged: one if given responses are labelled, or
        if KTO or SFT, which want no pairs, are among the formats; else two."""
        names = {next(iter(spec)) for spec in self.recipe.output.formats}
        return 2 if self.models and not names & {"kto", "sft"} else 1


def resolve(recipe: Recipe) -> Resolved:
    """Find and check everything; RecipeError holds all problems at once."""
    problems: list[str] = []

    def attempt(make: Callable[[], Any]) -> Any:
        try:
            return make()
        except RecipeError as error:
            problems.extend(error.problems)
            return None

    source = attempt(lambda: _plugin("sources", recipe.source, "source"))
    rubric = attempt(lambda: _rubric(recipe))
    sampler = attempt(lambda: _sampler(recipe))
    models = [attempt(lambda a=a, s=s: _model(recipe, a, s)) for a, s in recipe.models.items()]
    judges = [
        attempt(lambda a=a, s=s: _judge(recipe, a, s, rubric)) for a, s in recipe.judges.items()
    ]
    attempt(lambda: _check_outputs(recipe, rubric.rubric.aspects if rubric else ()))
    problems.extend(_contradictions(recipe))
    if problems:
        raise RecipeError(*dict.fromkeys(problems))
    assert source is not None
    return Resolved(
        recipe,
        source,
        sampler,
        _numbered([model for model in models if model]),
        _numbered([judge for judge in judges if judge]),
        rubric,
    )


def _plugin(group: str, spec: Mapping[str, JsonValue], where: str) -> Any:
    plugin, options = _named(group, spec, where)
    return plugin(options)


def _named(group: str, spec: Mapping[str, JsonValue], where: str) -> tuple[Any, Any]:
    try:
        return registry.named_options(group, spec, where)
    except RecipeError as error:
        raise RecipeError(*(_placed(problem, where) for problem in error.problems)) from error


def _placed(problem: str, where: str) -> str:
    return problem if problem.startswith(where) else f"{where}: {problem}"


def _rubric(recipe: Recipe) -> ResolvedRubric | None:
    if recipe.judge is None:
        return None
    where = "judge.rubric"
    try:
        name = registry.name_in("rubrics", recipe.judge.rubric)
        plugin, options = registry.named_options("rubrics", recipe.judge.rubric, where)
        return ResolvedRubric(name, options.model_dump(mode="json"), plugin(options))
    except RecipeError as error:
        raise RecipeError(*(_placed(problem, where) for problem in error.problems)) from error


def _sampler(recipe: Recipe) -> Sampler | None:
    if not recipe.models:
        return None
    where = "generate.sampler"
    try:
        plugin, options = registry.named_options("samplers", recipe.generate.sampler, where)
        return plugin(options, tuple(recipe.models), recipe.seed)
    except RecipeError as error:
        raise RecipeError(*(_placed(problem, where) for problem in error.problems)) from error


def _model(recipe: Recipe, alias: str, spec: ModelSpec) -> ResolvedModel:
    engine, options = engine_of(f"models.{alias}", spec)
    params = spec.params.over(recipe.generate.params)
    key = digest_of(
        "generate",
        spec.engine,
        options.identity(),
        params.model_dump(mode="json"),
        spec.system,
        recipe.generate.system,
    )
    return ResolvedModel(
        "generate", alias, spec, engine, params, lane_of("generate", spec, options), key
    )


def _judge(
    recipe: Recipe, alias: str, spec: ModelSpec, rubric: ResolvedRubric | None
) -> ResolvedModel:
    engine, options = engine_of(f"judges.{alias}", spec)
    params = spec.params.over(recipe.judge.params if recipe.judge else Params())
    key = digest_of(
        "judge",
        spec.engine,
        options.identity(),
        params.model_dump(mode="json"),
        rubric and rubric.name,
        rubric and rubric.rubric.fingerprint(),
    )
    return ResolvedModel("judge", alias, spec, engine, params, lane_of("judge", spec, options), key)


def _numbered(models: list[ResolvedModel]) -> tuple[ResolvedModel, ...]:
    """Two aliases of one and the same model get keys of their own, in order of the recipe."""
    seen: dict[bytes, int] = {}
    numbered: list[ResolvedModel] = []
    for model in models:
        count = seen.get(model.key, 0)
        seen[model.key] = count + 1
        key = digest_of(model.key.hex(), count) if count else model.key
        numbered.append(
            ResolvedModel(
                model.kind, model.alias, model.spec, model.engine, model.params, model.lane, key
            )
        )
    return tuple(numbered)


def _check_outputs(recipe: Recipe, aspects: tuple[str, ...]) -> None:
    problems: list[str] = []

    def attempt(make: Callable[[], Any]) -> None:
        try:
            make()
        except RecipeError as error:
            problems.extend(error.problems)

    pools = (("pool.judges", recipe.pool.judges), ("pool.aspects", recipe.pool.aspects))
    checks = [("pools", spec, where) for where, spec in pools]
    formats = enumerate(recipe.output.formats)
    checks += [("formats", spec, f"output.formats.{index}") for index, spec in formats]
    for group, spec, where in checks:
        attempt(lambda g=group, s=spec, w=where: _named(g, s, w))
    if not problems:
        pairing = recipe.output.pairing
        context = FormatContext(tuple(recipe.judges), aspects, pairing, recipe.seed)
        attempt(lambda: formats_of(recipe.output, context))
        attempt(lambda: pools_of(recipe.pool, tuple(recipe.judges), aspects))
    if problems:
        raise RecipeError(*problems)


def _contradictions(recipe: Recipe) -> list[str]:
    problems: list[str] = []
    if recipe.judges and recipe.judge is None:
        problems.append("judges: there are judges but no `judge:` step; add `judge: {rubric: …}`")
    if recipe.judge and not recipe.judges:
        problems.append("judge: there is a `judge:` step but no judge; add one under `judges:`")
    if recipe.judge and recipe.judges and recipe.judge.quorum > len(recipe.judges):
        problems.append(
            f"judge.quorum: {recipe.judge.quorum} usable verdicts are wanted of "
            f"{len(recipe.judges)} judges; lower it or add judges"
        )
    return problems

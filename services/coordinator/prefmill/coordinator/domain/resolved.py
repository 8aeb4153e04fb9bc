"""A recipe with all its plugins found and their options checked."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from prefmill.contracts.chat import Params
from prefmill.contracts.recipe import ModelSpec, PluginSpec, Recipe
from prefmill.contracts.rows import Prompt
from prefmill.contracts.work import LaneKind, Shows
from prefmill.contracts.workers import LaneSpec
from prefmill.coordinator.domain.answerable import refused_if_silent
from prefmill.coordinator.domain.rubrics import ResolvedRubric, rubrics_of, separate
from prefmill.plugins import registry
from prefmill.plugins.destination import destinations_of, refuse_useless
from prefmill.plugins.digest import digest_of
from prefmill.plugins.engine import Engine
from prefmill.plugins.errors import RecipeError, problems_at
from prefmill.plugins.files import plugin_files
from prefmill.plugins.format import FormatContext
from prefmill.plugins.lanes import engine_of, lane_of
from prefmill.plugins.outputs import formats_of
from prefmill.plugins.pool import pools_of
from prefmill.plugins.principles import Principles, principles_of
from prefmill.plugins.sampler import Sampler
from prefmill.plugins.source import Source
from prefmill.plugins.transform import Chosen, transformed, transforms_of

Placed = Callable[[PluginSpec], PluginSpec]


@dataclass(frozen=True)
class ResolvedModel:
    """A model, or a judge with one of the rubrics. `label` tells the rubrics apart.

    `answers` is the digest (32 bytes) of all that determines its answers to a given request; `key`
    of all that determines them for a given row, which principles have a part in.
    """

    kind: LaneKind
    alias: str
    spec: ModelSpec
    engine: Engine
    params: Params
    lane: LaneSpec
    answers: bytes
    key: bytes
    rubric: ResolvedRubric | None = None
    label: str = ""

    @property
    def model(self) -> str:
        """The model id."""
        return str(self.lane.options["model"])


@dataclass(frozen=True)
class Resolved:
    """All that a recipe says, ready to be used."""

    recipe: Recipe
    source: Source
    sampler: Sampler | None
    models: tuple[ResolvedModel, ...]
    judges: tuple[ResolvedModel, ...]
    """Each with each of the rubrics, the first rubric's first."""
    rubrics: tuple[ResolvedRubric, ...]
    transforms: tuple[Chosen, ...] = ()
    """Before generation."""
    principles: Principles | None = None

    def prompts(self, skip: int = 0) -> Iterator[Prompt]:
        """The prompts from row `skip` on, as they are answered. Blocking: run it in a thread."""
        prompts = transformed(self.source, self.transforms, skip)
        return map(partial(refused_if_silent, anybody=bool(self.models)), prompts)

    def least_generations(self, shows: Shows) -> int:
        """Usable generations a row needs to be judged: a pair needs two, one is enough where each
        is judged alone; else one if given responses are labelled, or if KTO or SFT, which want no
        pairs, are among the formats, and two if not."""
        if shows != "all":
            return 2 if shows == "pairs" else 1
        names = {next(iter(spec)) for spec in self.recipe.output.formats}
        return 2 if self.models and not names & {"kto", "sft"} else 1

    def judges_with(self, rubric: ResolvedRubric) -> list[ResolvedModel]:
        """The judges, as they are asked by one of the rubrics."""
        return [judge for judge in self.judges if judge.rubric is rubric]


def as_written(source: PluginSpec) -> PluginSpec:
    """For sources that name no uploads."""
    return source


def resolve(recipe: Recipe, placed: Placed = as_written) -> Resolved:
    """Find and check everything; RecipeError holds all problems at once. `placed` gives a source
    the paths of what was uploaded."""
    with plugin_files(recipe.plugins):
        return _resolved(recipe, placed)


def _resolved(recipe: Recipe, placed: Placed) -> Resolved:
    problems: list[str] = []

    def attempt(make: Callable[[], Any]) -> Any:
        try:
            return make()
        except RecipeError as error:
            problems.extend(error.problems)
            return None

    source = attempt(lambda: _source(placed(recipe.source)))
    transforms = attempt(lambda: transforms_of(recipe.transforms, "transforms"))
    rubrics: tuple[ResolvedRubric, ...] = attempt(lambda: rubrics_of(recipe)) or ()
    sampler = attempt(lambda: _sampler(recipe))
    models = [attempt(lambda a=a, s=s: _model(recipe, a, s)) for a, s in recipe.models.items()]
    judges = [
        attempt(lambda a=a, s=s, r=r: _judge(recipe, a, s, r))
        for r in rubrics or (None,)
        for a, s in recipe.judges.items()
    ]
    aspects = tuple(made.names.get(a, a) for made in rubrics for a in made.rubric.aspects)
    scoring = recipe.pool.of or aspects[: len(rubrics[0].rubric.aspects) if rubrics else 0]
    attempt(lambda: _check_outputs(recipe, aspects, scoring))
    attempt(lambda: refuse_unjudged(recipe.pool.of, aspects))
    principles = attempt(lambda: principles_of(recipe.generate.principles, recipe.seed))
    problems.extend(_contradictions(recipe))
    if not problems:
        attempt(lambda: refuse_useless(recipe.output, _manifest(recipe, rubrics)))
    if problems:
        raise RecipeError(*dict.fromkeys(problems))
    assert source is not None
    return Resolved(
        recipe,
        source,
        sampler,
        _numbered([model for model in models if model], principles),
        _numbered([judge for judge in judges if judge]),
        rubrics,
        transforms,
        principles,
    )


def _source(spec: PluginSpec) -> Source:
    with problems_at("source"):
        plugin, options = registry.named_options("sources", spec, "source")
    return plugin(options)


def _named(group: str, spec: PluginSpec, where: str) -> None:
    with problems_at(where):
        registry.named_options(group, spec, where)


def _sampler(recipe: Recipe) -> Sampler | None:
    if not recipe.models:
        return None
    where = "generate.sampler"
    with problems_at(where):
        plugin, options = registry.named_options("samplers", recipe.generate.sampler, where)
        return plugin(options, tuple(recipe.models), recipe.seed)


def _model(recipe: Recipe, alias: str, spec: ModelSpec) -> ResolvedModel:
    engine, options = engine_of(f"models.{alias}", spec)
    params = spec.params.over(recipe.generate.params)
    answers = digest_of(
        "generate",
        spec.engine,
        options.identity(),
        params.model_dump(mode="json"),
        spec.system,
        recipe.generate.system,
    )
    return ResolvedModel(
        "generate",
        alias,
        spec,
        engine,
        params,
        lane_of("generate", spec, options),
        answers,
        answers,
        label=alias,
    )


def _judge(
    recipe: Recipe, alias: str, spec: ModelSpec, rubric: ResolvedRubric | None
) -> ResolvedModel:
    engine, options = engine_of(f"judges.{alias}", spec)
    step = recipe.judge.params if recipe.judge else Params()
    params = spec.params.over(rubric.params.over(step) if rubric else step)
    answers = digest_of(
        "judge",
        spec.engine,
        options.identity(),
        params.model_dump(mode="json"),
        rubric and (rubric.name, rubric.shows),
    )
    lane = lane_of("judge", spec, options)
    several = rubric and recipe.judge and len(separate(recipe.judge.rubrics)) > 1
    label = f"{alias}/{rubric.label}" if rubric and several else alias
    return ResolvedModel(
        "judge", alias, spec, engine, params, lane, answers, answers, rubric, label
    )


def _numbered(
    models: list[ResolvedModel], principles: Principles | None = None
) -> tuple[ResolvedModel, ...]:
    """Two aliases of one and the same model get keys of their own, in order of the recipe; under
    other principles all have others."""
    seen: Counter[bytes] = Counter()
    numbered: list[ResolvedModel] = []
    for model in models:
        count = seen[model.answers]
        seen[model.answers] += 1
        answers = digest_of(model.answers.hex(), count) if count else model.answers
        key = digest_of(answers.hex(), principles.key.hex()) if principles else answers
        numbered.append(replace(model, answers=answers, key=key))
    return tuple(numbered)


def _check_outputs(recipe: Recipe, aspects: tuple[str, ...], scoring: tuple[str, ...]) -> None:
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
    attempt(lambda: destinations_of(recipe.output))
    attempt(lambda: transforms_of(recipe.output.transforms, "output.transforms"))
    if not problems:
        pairing = recipe.output.pairing
        context = FormatContext(tuple(recipe.judges), aspects, pairing, recipe.seed)
        attempt(lambda: formats_of(recipe.output, context))
        attempt(lambda: pools_of(recipe.pool, tuple(recipe.judges), scoring))
    if problems:
        raise RecipeError(*problems)


def _manifest(recipe: Recipe, rubrics: Sequence[ResolvedRubric]) -> dict[str, Any]:
    """What is known of the `run.json` of its datasets."""
    told = [{"name": made.label, "people": made.people} for made in rubrics]
    return {"judges": {alias: alias for alias in recipe.judges}, "rubrics": told}


def refuse_unjudged(of: Sequence[str], known: Sequence[str]) -> None:
    """RecipeError if an aspect that is to make the score is none that is judged."""
    unknown = [aspect for aspect in of if aspect not in known]
    if unknown:
        raise RecipeError(
            *(f"pool.of: {a!r} is not judged{registry.nearest(a, known)}" for a in unknown)
        )


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

"""The rubrics of a recipe, each found, with its options checked and its aspects told apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import JsonValue, ValidationError

from prefmill.contracts.chat import Params
from prefmill.contracts.recipe import PluginSpec, Recipe
from prefmill.contracts.work import Shows
from prefmill.plugins import registry
from prefmill.plugins.errors import RecipeError, problems_at
from prefmill.plugins.rubric import Rubric, annotation_of, shows_of

PARAMS: Final = "params"
"""Beside a rubric's name: sampling parameters for it, not one of its options."""


@dataclass(frozen=True)
class ResolvedRubric:
    """A rubric, with what a judge needs to make the same one. `label` is its name within the
    recipe, `names` those of its aspects where another rubric has an aspect of that name; `params`
    win over those of the judge step."""

    label: str
    name: str
    options: dict[str, JsonValue]
    rubric: Rubric
    names: dict[str, str] = field(default_factory=dict[str, str])
    params: Params = field(default_factory=Params)

    @property
    def shows(self) -> Shows:
        """What one verdict shows."""
        return shows_of(self.rubric)

    @property
    def files(self) -> dict[str, str]:
        """The recipe's own file that it is from, with its hash; {} if a distribution has it."""
        path, sha256 = getattr(self.rubric, "file", ("", ""))
        return {path: sha256} if path else {}

    @property
    def people(self) -> dict[str, dict[str, JsonValue]]:
        """Aspect, by its name in the run → how people check it."""
        return {
            self.names.get(aspect, aspect): annotation_of(self.rubric, aspect).model_dump(
                mode="json"
            )
            for aspect in self.rubric.aspects
        }


def rubrics_of(recipe: Recipe) -> tuple[ResolvedRubric, ...]:
    """The recipe's rubrics; RecipeError for those that are not there or refuse their options."""
    specs = separate(recipe.judge.rubrics) if recipe.judge else ()
    places = [f"judge.rubric.{i}" if len(specs) > 1 else "judge.rubric" for i in range(len(specs))]
    labels: Counter[str] = Counter()
    made: list[ResolvedRubric] = []
    for spec, where in zip(specs, places, strict=True):
        with problems_at(where):
            one = _rubric(spec, where)
        labels[one.name] += 1
        count = labels[one.name]
        made.append(replace(one, label=f"{one.name}-{count}") if count > 1 else one)
    return _told_apart(made)


def _rubric(spec: PluginSpec, where: str) -> ResolvedRubric:
    own = {key: value for key, value in spec.items() if key != PARAMS}
    name = registry.name_in("rubrics", own)
    plugin, options = registry.named_options("rubrics", own, where)
    params = _params(spec.get(PARAMS) or {}, f"{where}.{PARAMS}")
    return ResolvedRubric(
        name, name, options.model_dump(mode="json"), plugin(options), params=params
    )


def _params(value: JsonValue, where: str) -> Params:
    try:
        return Params.model_validate(value)
    except ValidationError as error:
        raise RecipeError(*registry.explain(error, Params, where)) from error


def separate(specs: Sequence[PluginSpec]) -> Sequence[PluginSpec]:
    """`{ultrafeedback: [honesty], critique: null}`, where every key is a rubric, means several."""
    if len(specs) > 1 or len(specs[0]) < 2 or not specs[0].keys() <= registry.names("rubrics"):
        return specs
    return [{name: value} for name, value in specs[0].items()]


def _told_apart(rubrics: Sequence[ResolvedRubric]) -> tuple[ResolvedRubric, ...]:
    """Aspects that two rubrics have bear the rubric's label in their name."""
    counts = Counter(aspect for made in rubrics for aspect in made.rubric.aspects)
    return tuple(
        replace(made, names={a: f"{made.label}-{a}" for a in made.rubric.aspects if counts[a] > 1})
        for made in rubrics
    )

"""The rubrics of a recipe, each found, with its options checked and its aspects told apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from prefmill.contracts.recipe import PluginSpec, Recipe
from prefmill.contracts.work import Shows
from prefmill.plugins import registry
from prefmill.plugins.errors import problems_at
from prefmill.plugins.rubric import Rubric, shows_of


@dataclass(frozen=True)
class ResolvedRubric:
    """A rubric, with what a judge needs to make the same one. `label` is its name within the
    recipe, `names` those of its aspects where another rubric has an aspect of that name."""

    label: str
    name: str
    options: dict[str, JsonValue]
    rubric: Rubric
    names: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def shows(self) -> Shows:
        """What one verdict shows."""
        return shows_of(self.rubric)

    @property
    def files(self) -> dict[str, str]:
        """The recipe's own file that it is from, with its hash; {} if a distribution has it."""
        path, sha256 = getattr(self.rubric, "file", ("", ""))
        return {path: sha256} if path else {}


def rubrics_of(recipe: Recipe) -> tuple[ResolvedRubric, ...]:
    """The recipe's rubrics; RecipeError for those that are not there or refuse their options."""
    specs = separate(recipe.judge.rubrics) if recipe.judge else ()
    places = [f"judge.rubric.{i}" if len(specs) > 1 else "judge.rubric" for i in range(len(specs))]
    labels: Counter[str] = Counter()
    made: list[ResolvedRubric] = []
    for spec, where in zip(specs, places, strict=True):
        with problems_at(where):
            name = registry.name_in("rubrics", spec)
            plugin, options = registry.named_options("rubrics", spec, where)
            rubric = plugin(options)
        labels[name] += 1
        label = f"{name}-{labels[name]}" if labels[name] > 1 else name
        made.append(ResolvedRubric(label, name, options.model_dump(mode="json"), rubric))
    return _told_apart(made)


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

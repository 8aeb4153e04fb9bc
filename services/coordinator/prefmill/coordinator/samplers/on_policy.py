"""`{on-policy: mine}`: the user's own model answers every row, beside some of the others."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.coordinator.samplers.sample import SampleOptions, SampleSampler
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest


class OnPolicyOptions(Strict):
    """What `on-policy` understands."""

    own: str | tuple[str, ...] = Field(
        alias="on-policy",
        description="The model that is trained, or several: they answer all rows.",
    )
    others: int = Field(default=1, ge=1, description="How many others answer a row beside them.")
    seed: int | None = Field(default=None, description="Of the draws; the recipe's if none.")
    weights: dict[str, float] = Field(
        default={}, description="Alias → weight of the others; 1 for one that is not named."
    )
    per: Literal["row", "batch"] = Field(
        default="row", description="A new draw for every row, or for every `batch` rows."
    )
    batch: int = Field(default=32, ge=1, description="Rows that share a draw with `per: batch`.")


class OnPolicySampler:
    """Draws the own models always, and k of the others as `sample` does; own ones first."""

    Options: ClassVar[type[OnPolicyOptions]] = OnPolicyOptions

    def __init__(self, options: Strict, pool: Sequence[str], seed: int) -> None:
        """RecipeError if an own model is none of the pool, or the others are too few."""
        assert isinstance(options, OnPolicyOptions)
        own = (options.own,) if isinstance(options.own, str) else options.own
        self._own = tuple(dict.fromkeys(own))
        others = [alias for alias in pool if alias not in self._own]
        _check(self._own, options, pool, others)
        drawn = SampleOptions(
            sample=options.others,
            seed=options.seed,
            weights=options.weights,
            per=options.per,
            batch=options.batch,
        )
        self._others = SampleSampler(drawn, others, seed)

    def draw(self, position: int) -> tuple[str, ...]:
        """The own models, then the others that answer the row at `position`."""
        return (*self._own, *self._others.draw(position))


def _check(
    own: Sequence[str], options: OnPolicyOptions, pool: Sequence[str], others: Sequence[str]
) -> None:
    where = "generate.sampler.on-policy"
    if not own:
        raise RecipeError(f"{where}: name the model that is trained, or several")
    for alias in own:
        if alias not in pool:
            raise RecipeError(
                f"{where}: {alias!r} is no model of this recipe{nearest(alias, pool)}"
            )
        if alias in options.weights:
            raise RecipeError(
                f"generate.sampler.weights: {alias!r} answers every row; weights are of the others"
            )
    if options.others > len(others):
        raise RecipeError(
            f"generate.sampler.others: {options.others} other models are to answer a row, but "
            f"`models` has {len(others)} besides {', '.join(own)}; name more or draw fewer"
        )

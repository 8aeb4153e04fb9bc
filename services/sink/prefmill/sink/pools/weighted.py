"""The weighted mean: raters whose word counts more."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from prefmill.contracts.base import Strict
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest
from prefmill.sink.pools.columns import ColumnPool, Matrix

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class WeightedOptions(Strict):
    """`{weighted: {gpt4: 2, haiku: 1}}`."""

    weights: dict[str, Weight] = Field(
        alias="weighted", description="Weight by alias of the judge, or by name of the aspect."
    )
    others: Weight = Field(default=1.0, description="Weight of those not named.")

    @model_validator(mode="after")
    def _some_weight(self) -> "WeightedOptions":
        if not any(self.weights.values()):
            raise ValueError("all weights are zero; give one rater more")
        return self


class WeightedPool(ColumnPool):
    """The mean of the ratings given, each times its rater's weight. A rater without a rating takes
    its weight away; where only raters of weight zero rated, there is no score."""

    Options: ClassVar = WeightedOptions

    def __init__(self, options: WeightedOptions, raters: Sequence[str] = ()) -> None:
        super().__init__(options, raters)
        unknown = [name for name in options.weights if raters and name not in raters]
        if unknown:
            raise RecipeError(
                *(f"no rater named {name!r} to weigh{nearest(name, raters)}" for name in unknown)
            )
        self.weights = tuple(options.weights.get(name, options.others) for name in raters)

    def score(self, ratings: Matrix) -> tuple[float | None, ...]:
        """One weighted mean per generation. ValueError if the raters are not those named."""
        columns = zip(*ratings, strict=True)
        return tuple(self._mean(column) for column in columns)

    def _mean(self, column: Sequence[float | None]) -> float | None:
        given = [
            (weight, rating)
            for weight, rating in zip(self.weights, column, strict=True)
            if rating is not None and weight > 0
        ]
        if not given:
            return None
        whole = math.fsum(weight for weight, _ in given)
        return math.fsum(weight * rating for weight, rating in given) / whole

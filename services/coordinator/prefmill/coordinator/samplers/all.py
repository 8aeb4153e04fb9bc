"""`{all: null}`: every model answers every row."""

from collections.abc import Sequence
from typing import ClassVar

from prefmill.contracts.base import Strict
from prefmill.plugins.errors import RecipeError


class AllOptions(Strict):
    """`all` has no options."""


class AllSampler:
    """Draws the whole pool for every row, in the pool's order."""

    Options: ClassVar[type[AllOptions]] = AllOptions

    def __init__(self, options: Strict, pool: Sequence[str], seed: int) -> None:
        """RecipeError if there is no model."""
        if not pool:
            raise RecipeError("generate.sampler: there is no model to draw; name some in `models`")
        self._pool = tuple(pool)

    def draw(self, position: int) -> tuple[str, ...]:
        """The pool, whatever the position."""
        return self._pool

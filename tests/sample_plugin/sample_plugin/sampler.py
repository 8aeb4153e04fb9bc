"""`sampler: {in-turn: 2}`: the models take turns."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.plugins.errors import RecipeError


class InTurnOptions(Strict):
    """`in-turn` is no name for a field, so the field has it as its alias."""

    count: int = Field(default=1, ge=1, alias="in-turn", description="Models that answer a row.")


class InTurn:
    """Models i, i + 1, … of the pool for row i, around and around."""

    Options: ClassVar[type[Strict]] = InTurnOptions

    def __init__(self, options: Strict, pool: Sequence[str], seed: int) -> None:
        assert isinstance(options, InTurnOptions)
        if options.count > len(pool):
            raise RecipeError(f"{options.count} models are to take turns, there are {len(pool)}")
        self._pool, self._count = tuple(pool), options.count

    def draw(self, position: int) -> tuple[str, ...]:
        """Of the position alone: nothing is remembered."""
        return tuple(self._pool[(position + i) % len(self._pool)] for i in range(self._count))

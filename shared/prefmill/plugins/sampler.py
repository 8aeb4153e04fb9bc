"""Samplers: which models answer a row."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from prefmill.contracts.base import Strict


class Sampler(Protocol):
    """Draws models: a pure function of its options, the pool, the seed and the row's position."""

    Options: ClassVar[type[Strict]]

    def __init__(self, options: Strict, pool: Sequence[str], seed: int) -> None:
        """Raises RecipeError if the pool cannot give what is asked."""
        ...

    def draw(self, position: int) -> tuple[str, ...]:
        """Aliases that answer the row at `position`, in the order of the row's generations."""
        ...

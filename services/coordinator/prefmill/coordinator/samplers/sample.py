"""`{sample: k}`: k models of the pool for every row, or for every batch of rows."""

from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar, Literal

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.coordinator.samplers.deck import DeckBlock, block_rows
from prefmill.coordinator.samplers.shares import ROWS, refuse_tiny, shares_of
from prefmill.coordinator.samplers.weighted import Design, WeightedBlock
from prefmill.plugins.digest import seed_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest

Block = DeckBlock | WeightedBlock


class SampleOptions(Strict):
    """What `sample` understands."""

    sample: int = Field(ge=1, description="How many models answer a row.")
    seed: int | None = Field(default=None, description="Of the draws; the recipe's if none.")
    weights: dict[str, float] = Field(
        default={}, description="Alias → weight; 1 for a model that is not named."
    )
    per: Literal["row", "batch"] = Field(
        default="row", description="A new draw for every row, or for every `batch` rows."
    )
    batch: int = Field(default=32, ge=1, description="Rows that share a draw with `per: batch`.")


class SampleSampler:
    """Draws k models of the pool without replacement, in the pool's order.

    Each model's share of the rows is proportional to its weight; `samplers.deck` and
    `samplers.weighted` say how closely it is kept to. Keeps the block at hand: one thread only.
    """

    Options: ClassVar[type[SampleOptions]] = SampleOptions

    def __init__(self, options: Strict, pool: Sequence[str], seed: int) -> None:
        """RecipeError if the pool is too small, or a weight is not one of a model of the pool."""
        assert isinstance(options, SampleOptions)
        _check(options, pool)
        self._pool = tuple(pool)
        self._seed = seed if options.seed is None else options.seed
        self._rows_per_draw = options.batch if options.per == "batch" else 1
        shares = shares_of([options.weights.get(alias, 1) for alias in pool], options.sample)
        refuse_tiny(shares, pool)
        self._always = frozenset(m for m, share in enumerate(shares) if share == 1)
        self._open = tuple(m for m in range(len(pool)) if m not in self._always)
        places = options.sample - len(self._always)
        # Leaving out the few is the same design as taking the many, and quicker to draw.
        self._omit = 2 * places > len(self._open)
        self._design = _design([shares[m] for m in self._open], places, omit=self._omit)
        self._equal = len({shares[m] for m in self._open}) == 1
        self._block_rows = block_rows(len(self._open)) if self._equal else ROWS
        self._block: tuple[int, Block] | None = None

    def draw(self, position: int) -> tuple[str, ...]:
        """The aliases that answer the row at `position`, in the pool's order."""
        drawn = self._drawn(position // self._rows_per_draw)
        return tuple(alias for model, alias in enumerate(self._pool) if model in drawn)

    def _drawn(self, number: int) -> frozenset[int]:
        if self._design is None:
            return self._always
        block, row = divmod(number, self._block_rows)
        drawn = self._block_at(block, self._design).draw(row)
        chosen = {model for m, model in enumerate(self._open) if (m in drawn) != self._omit}
        return self._always | chosen

    def _block_at(self, number: int, design: Design) -> Block:
        if self._block is None or self._block[0] != number:
            seed = seed_of("sample", self._seed, number)
            if self._equal:
                block = DeckBlock(len(design.shares), design.size, seed)
            else:
                block = WeightedBlock(design, number, seed)
            self._block = (number, block)
        return self._block[1]


def _design(shares: list[Fraction], places: int, *, omit: bool) -> Design | None:
    """How models are taken, or left out; None if every row draws the same ones."""
    if not shares:
        return None
    if omit:
        return Design(tuple(1 - share for share in shares), len(shares) - places)
    return Design(tuple(shares), places)


def _check(options: SampleOptions, pool: Sequence[str]) -> None:
    if options.sample > len(pool):
        raise RecipeError(
            f"generate.sampler.sample: {options.sample} models are to answer a row, but `models` "
            f"has {len(pool)}; name more models or draw fewer"
        )
    for alias, weight in options.weights.items():
        where = f"generate.sampler.weights: {alias!r}"
        if alias not in pool:
            raise RecipeError(f"{where} is no model of this recipe{nearest(alias, pool)}")
        if not 0 < weight < float("inf"):
            raise RecipeError(
                f"{where} has weight {weight}; it must be greater than 0 "
                "(to never draw a model, leave it out of `models`)"
            )

"""How often each model of a weighted pool is to be drawn."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from prefmill.plugins.errors import RecipeError

ROWS: Final = 10_000
"""A share below one row in so many cannot be kept to: the weights are refused."""


def shares_of(weights: Sequence[float], size: int) -> tuple[Fraction, ...]:
    """The probability that each model is among the `size` drawn: proportional to its weight.

    Where that would pass 1, the model is drawn for every row, and the places that are left are
    shared out among the others, again by weight. Shares are exact and sum to `size`.
    """
    exact = [Fraction(str(weight)) for weight in weights]
    always: set[int] = set()
    while len(always) < size:
        rest = [model for model in range(len(exact)) if model not in always]
        scale = (size - len(always)) / sum((exact[model] for model in rest), Fraction(0))
        certain = {m for m in rest if 1 - exact[m] * scale < Fraction(1, ROWS)}
        if not certain:
            return tuple(
                Fraction(1) if m in always else exact[m] * scale for m in range(len(exact))
            )
        always |= certain
    return tuple(Fraction(int(model in always)) for model in range(len(exact)))


def refuse_tiny(shares: Sequence[Fraction], pool: Sequence[str]) -> None:
    """RecipeError if a model's share is so small that it would hardly ever be drawn."""
    for alias, share in zip(pool, shares, strict=True):
        if share < Fraction(1, ROWS):
            raise RecipeError(
                f"generate.sampler.weights: {alias!r} would answer fewer than one row in "
                f"{ROWS:,}; raise its weight or leave it out of the pool"
            )


def apportion(shares: Sequence[Fraction], size: int, rows: int) -> list[int]:
    """Whole numbers of draws after `rows` rows: each share rounded up or down (largest remainder),
    `rows × size` in all."""
    exact = [share * rows for share in shares]
    counts = [int(value) for value in exact]
    missing = rows * size - sum(counts)
    by_remainder = sorted(range(len(exact)), key=lambda m: (counts[m] - exact[m], m))
    for model in by_remainder[:missing]:
        counts[model] += 1
    return counts

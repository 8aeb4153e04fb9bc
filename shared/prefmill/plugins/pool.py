"""Pools: several ratings become one score."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol

from prefmill.contracts.base import Strict
from prefmill.contracts.recipe import PluginSpec, PoolStep
from prefmill.plugins import registry
from prefmill.plugins.errors import RecipeError


class Pool(Protocol):
    """`fit` sees all rows once (most pools ignore it); `score` pools one row's ratings.

    Ratings come as a matrix: raters × generations, None where a rater gave none. `raters` names its
    rows: the recipe's judges, or the aspects that make the score.

    Two class attributes may be left out. `fits = True`: `fit` has to see all rows. `separate`: each
    verdict is a row of its own, instead of one row a judge; for pools of comparisons. Of an aspect
    judged in pairs, a row is a pair: 1 for the winner, 0 for the other, 0.5 each for a tie.
    """

    Options: ClassVar[type[Strict]]

    def __init__(self, options: Strict, raters: Sequence[str] = ()) -> None: ...

    def fit(self, rows: Iterable[Sequence[Sequence[float | None]]]) -> None:
        """Learn from all rows, streamed."""
        ...

    def score(self, ratings: Sequence[Sequence[float | None]]) -> tuple[float | None, ...]:
        """One score per generation; None where no rater gave any."""
        ...


def needs_fit(pool: Pool) -> bool:
    """Whether a pool looks at all rows before it scores one."""
    return getattr(pool, "fits", False)


def is_separate(pool: Pool) -> bool:
    """Whether each verdict is a rater of its own to it."""
    return getattr(pool, "separate", False)


def pools_of(step: PoolStep, judges: Sequence[str], aspects: Sequence[str]) -> tuple[Pool, Pool]:
    """The pool over judges and the one over aspects. RecipeError says what is wrong with them."""
    over_judges = _pool(step.judges, judges, "pool.judges")
    over_aspects = _pool(step.aspects, aspects, "pool.aspects")
    if is_separate(over_aspects):
        raise RecipeError("pool.aspects: this pool compares texts, not aspects; use it for judges")
    return over_judges, over_aspects


def _pool(spec: PluginSpec, raters: Sequence[str], where: str) -> Pool:
    plugin, options = registry.named_options("pools", spec, where)
    try:
        return plugin(options, tuple(raters))
    except RecipeError as error:
        raise RecipeError(*(f"{where}: {problem}" for problem in error.problems)) from error

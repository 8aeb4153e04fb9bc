"""Principles: what a completion is told to live up to (UltraFeedback, arXiv 2310.01377, section 3).

For each answer a principle is drawn, by odds that depend on where its prompt comes from, and one of
the principle's wordings is told to the model. The draw is a pure function of the recipe's seed, the
row's content, the model's alias and the sample, so whoever needs it makes it again: the
coordinator to ask, the sink to record what was asked. Odds and wordings are stored with a revision,
so that a later version of this package records what was really told.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import Field

from prefmill.contracts.base import Frozen
from prefmill.contracts.recipe import Odds, PrinciplesSpec
from prefmill.contracts.rows import Prompt
from prefmill.plugins.digest import digest_of, seed_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest

OTHERS: Final = "*"
"""The source of prompts that name none of the others."""

WHERE: Final = "generate.principles"


class Drawn(NamedTuple):
    """A principle with the wording that is told to the model."""

    principle: str
    wording: str


class Principles(Frozen):
    """Odds and wordings, complete: what a revision draws from."""

    seed: int = Field(description="The recipe's.")
    odds: dict[str, dict[str, float]] = Field(description="Source → principle → weight.")
    wordings: dict[str, tuple[str, ...]] = Field(description="Of every principle in `odds`.")

    @property
    def key(self) -> bytes:
        """32 bytes of all that a draw depends on, the row, the model and the sample aside."""
        return digest_of(self.seed, self.odds, self.wordings)

    def draw(self, content: bytes, source: str | None, alias: str, sample: int) -> Drawn | None:
        """What one answer to the row of this content is told; None where its source has no odds."""
        odds = self.odds.get(source or OTHERS) or self.odds.get(OTHERS)
        if not odds:
            return None
        seed = seed_of("principle", self.seed, content.hex(), alias, sample)
        principle = _weighted(odds, seed)
        wordings = self.wordings[principle]
        return Drawn(principle, wordings[seed_of("wording", seed) % len(wordings)])


def principles_of(spec: PrinciplesSpec | None, seed: int) -> Principles | None:
    """A recipe's principles; RecipeError names a profile or principle that does not exist."""
    if spec is None:
        return None
    known = profiles()
    if spec.profile is not None and spec.profile not in known:
        raise RecipeError(_unknown(f"{WHERE}.profile", spec.profile, known))
    odds = dict(known[spec.profile]) if spec.profile else {}
    odds |= {source: _weights(written) for source, written in spec.odds.items()}
    if not odds:
        raise RecipeError(
            f"{WHERE}: it names neither a `profile` nor `odds`; there are the profiles "
            f"{' and '.join(known)}"
        )
    told = {**wordings(), **spec.wordings}
    for source, weights in odds.items():
        _check(source, weights, told)
    drawn = {principle for weights in odds.values() for principle in weights}
    return Principles(seed=seed, odds=odds, wordings={name: told[name] for name in sorted(drawn)})


def source_of(prompt: Prompt) -> str | None:
    """Where a prompt comes from: its column `source`, if that is a text."""
    source = prompt.metadata.get("source")
    return source if isinstance(source, str) else None


def profiles() -> dict[str, dict[str, dict[str, float]]]:
    """Profile → source → principle → weight in percent: `ultrafeedback` as that project describes
    itself, `ultrafeedback-code` as its code draws."""
    return _stored()["profiles"]


def wordings() -> dict[str, tuple[str, ...]]:
    """Principle → the ways in which it can be told to a model."""
    return {name: tuple(texts) for name, texts in _stored()["wordings"].items()}


@cache
def _stored() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _weights(written: Odds) -> dict[str, float]:
    if isinstance(written, str):
        return {written: 1.0}
    return dict(written) if isinstance(written, Mapping) else dict.fromkeys(written, 1.0)


def _check(source: str, weights: Mapping[str, float], told: Mapping[str, object]) -> None:
    for principle in weights:
        if principle not in told:
            raise RecipeError(_unknown(f"{WHERE}.odds.{source}", principle, told))
    if not sum(weights.values()):
        raise RecipeError(
            f"{WHERE}.odds.{source}: nothing could be drawn; give a principle a weight above 0"
        )


def _unknown(where: str, name: str, known: Mapping[str, object]) -> str:
    return f"{where}: {name!r} is not known{nearest(name, known)}"


def _weighted(odds: Mapping[str, float], seed: int) -> str:
    """One of the principles, by weight. In order of their names, so that it is not by the order
    in which they were written."""
    names = sorted(name for name, weight in odds.items() if weight)
    place = seed / 2**63 * sum(odds[name] for name in names)
    for name in names:
        place -= odds[name]
        if place < 0:
            return name
    return names[-1]

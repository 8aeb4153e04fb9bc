"""Scored generations become pairs of a chosen and a rejected one.

Best against worst, best against a random lower one (UltraFeedback-binarized, Argilla's cleaned
version), or all pairs of different scores (UltraRM). A tie is a tie, identical texts make no pair,
unrated candidates take no part, and a row without a pair says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from prefmill.contracts.reasons import BELOW_MARGIN, IDENTICAL_TEXTS, TOO_FEW_SCORES
from prefmill.contracts.recipe import Pairing
from prefmill.contracts.rows import FinishedRow
from prefmill.plugins.digest import seed_of

Pair = tuple[int, int]
"""Index of the chosen and of the rejected generation."""

DIGITS: Final = 9
"""Means of means differ in their last bit; scores are compared to so many decimal places."""


@dataclass(frozen=True, slots=True)
class Paired:
    """The pairs of one row, and its outcome. There are pairs if, and only if, it is `out`."""

    pairs: tuple[Pair, ...]
    outcome: Literal["out", "tie", "dropped"]
    reason: str = ""


class _Candidate(NamedTuple):
    place: int
    text: str
    score: float


def pairs(row: FinishedRow, scores: Sequence[float | None], pairing: Pairing, seed: int) -> Paired:
    """The row's pairs. `seed` is the recipe's; the pairing's own wins. Texts count as identical
    when they differ in surrounding white space only."""
    candidates = _candidates(row, scores)
    if pairing.choose == "all":
        found = _all(candidates, pairing)
    else:
        found = _best(candidates, pairing, seed, row)
    return Paired(found, "out") if found else _unpaired(candidates, pairing)


def _candidates(row: FinishedRow, scores: Sequence[float | None]) -> list[_Candidate]:
    candidates: list[_Candidate] = []
    for place, generation in enumerate(row.generations):
        text, score = generation.text, scores[place]
        if text is not None and score is not None:
            candidates.append(_Candidate(place, text.strip(), round(score, DIGITS)))
    return candidates


def _unpaired(candidates: list[_Candidate], pairing: Pairing) -> Paired:
    """Why there is no pair, or the one of a tie that is kept."""
    if len(candidates) < 2:
        return Paired((), "dropped", TOO_FEW_SCORES)
    first = candidates[0]
    others = [other for other in candidates if other.text != first.text]
    if not others:
        return Paired((), "dropped", IDENTICAL_TEXTS)
    if any(other.score != first.score for other in candidates):
        return Paired((), "dropped", BELOW_MARGIN)
    if pairing.ties == "drop":
        return Paired((), "tie")
    if pairing.margin > 0:
        return Paired((), "dropped", BELOW_MARGIN)
    return Paired(((first.place, others[0].place),), "out")


def _all(candidates: list[_Candidate], pairing: Pairing) -> tuple[Pair, ...]:
    """In order of the chosen, then of the rejected."""
    return tuple(
        (better.place, worse.place)
        for better in candidates
        for worse in _lower(better, candidates, pairing.margin)
    )


def _best(
    candidates: list[_Candidate], pairing: Pairing, seed: int, row: FinishedRow
) -> tuple[Pair, ...]:
    """The best candidate that has one to beat; of equally good (or bad) ones the first."""
    for better in sorted(candidates, key=_score, reverse=True):
        lower = _lower(better, candidates, pairing.margin)
        if lower:
            worse = _any(lower, pairing, seed, row) if pairing.choose == "best-random" else None
            return ((better.place, (worse or min(lower, key=_score)).place),)
    return ()


def _lower(better: _Candidate, candidates: list[_Candidate], margin: float) -> list[_Candidate]:
    return [
        worse
        for worse in candidates
        if better.score > worse.score
        and better.text != worse.text
        and round(better.score - worse.score, DIGITS) >= margin
    ]


def _any(lower: list[_Candidate], pairing: Pairing, seed: int, row: FinishedRow) -> _Candidate:
    own = seed if pairing.seed is None else pairing.seed
    return lower[seed_of("pairing", own, row.prompt.id) % len(lower)]


def _score(candidate: _Candidate) -> float:
    return candidate.score

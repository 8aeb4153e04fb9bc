"""Verdicts become scores: the aspects within each judge first, then the judges.

A rating counts if its status is `rated` and the text exists; `not-applicable` and what could not be
read are left out. Several samples of one judge on one aspect are one measurement: their mean; so
are its verdicts on single texts or on pairs. A pool of comparisons takes every verdict as it is.
"""

import math
from collections.abc import Sequence

from prefmill.contracts.reasons import (
    NOT_APPLICABLE,
    NOT_FINISHED,
    RATED,
    TOO_FEW_GENERATIONS,
    TOO_FEW_VERDICTS,
)
from prefmill.contracts.rows import FinishedRow, Generation, Verdict
from prefmill.plugins.format import ScoredRow
from prefmill.plugins.pool import Pool, is_separate
from prefmill.sink.pools.columns import by_column
from prefmill.sink.pools.mean import mean

Ratings = tuple[float | None, ...]
"""One per generation."""


def score_row(
    row: FinishedRow,
    judges_pool: Pool,
    aspects_pool: Pool,
    quorum: int,
    aspects: Sequence[str],
    judges: Sequence[str],
) -> ScoredRow:
    """The row with its pooled scores, or with the reason why it makes no judged data.

    Verdicts of other judges or aspects than those named are ignored. Without the quorum of an
    aspect, that aspect has no scores and neither has the row.
    """
    dropped = _unusable(row)
    if dropped is not None or not judges or not aspects:
        none = (None,) * len(row.generations)
        return ScoredRow(row, none, dict.fromkeys(aspects, none), dropped or _too_few(row))
    return _pooled(row, judges_pool, aspects_pool, quorum, aspects, judges)


def judge_ratings(
    row: FinishedRow, aspects_pool: Pool, aspects: Sequence[str], judges: Sequence[str]
) -> list[Ratings]:
    """Judges × generations, each judge's aspects pooled: what a judges' pool is fitted on."""
    return [aspects_pool.score(judge) for judge in measured(row, aspects, judges)[0]]


def aspect_ratings(
    row: FinishedRow, aspects: Sequence[str], judges: Sequence[str]
) -> list[list[Ratings]]:
    """For each judge, aspects × generations: what an aspects' pool is fitted on."""
    return measured(row, aspects, judges)[0]


def is_usable(verdict: Verdict) -> bool:
    """Whether the verdict says anything: at least one text rated, or not applicable."""
    for reading in verdict.readings:  # noqa: SIM110 - half the time of `any`, once a verdict
        if reading.status in (RATED, NOT_APPLICABLE):
            return True
    return False


def _pooled(
    row: FinishedRow,
    judges_pool: Pool,
    aspects_pool: Pool,
    quorum: int,
    aspects: Sequence[str],
    judges: Sequence[str],
) -> ScoredRow:
    ratings, usable = measured(row, aspects, judges)
    none = (None,) * len(row.generations)
    if is_separate(judges_pool):
        given = {aspect: _separate(row, (aspect,), judges) for aspect in aspects}
        over_judges = _separate(row, aspects, judges)
    else:
        given = {a: [judge[index] for judge in ratings] for index, a in enumerate(aspects)}
        over_judges = [aspects_pool.score(judge) for judge in ratings]
    by_aspect = {
        aspect: judges_pool.score(given[aspect]) if usable[aspect] >= quorum else none
        for aspect in aspects
    }
    whole = min(usable.values()) >= quorum
    scores = judges_pool.score(over_judges) if whole else none
    dropped = _too_few(row) or (None if whole else TOO_FEW_VERDICTS)
    return ScoredRow(row, scores, by_aspect, dropped)


def _unusable(row: FinishedRow) -> str | None:
    if row.prompt.failure is not None:
        return row.prompt.failure.reason
    return NOT_FINISHED if row.open_cells else None


def _too_few(row: FinishedRow) -> str | None:
    usable = [generation for generation in row.generations if generation.text is not None]
    return TOO_FEW_GENERATIONS if len(usable) < 2 else None


def measured(
    row: FinishedRow, aspects: Sequence[str], judges: Sequence[str]
) -> tuple[list[list[Ratings]], dict[str, int]]:
    """Judges × aspects × generations, and how many judges gave a usable verdict on each aspect."""
    samples: dict[tuple[str, str], list[Ratings]] = {}
    heard: dict[str, set[str]] = {aspect: set() for aspect in aspects}
    for verdict in row.verdicts:
        if verdict.aspect in heard and verdict.judge in judges:
            ratings = _ratings(row.generations, verdict)
            samples.setdefault((verdict.judge, verdict.aspect), []).append(ratings)
            if is_usable(verdict):
                heard[verdict.aspect].add(verdict.judge)
    none = (None,) * len(row.generations)
    ratings = [
        [_over_samples(samples.get((judge, aspect)), none) for aspect in aspects]
        for judge in judges
    ]
    return ratings, {aspect: len(usable) for aspect, usable in heard.items()}


def _separate(row: FinishedRow, aspects: Sequence[str], judges: Sequence[str]) -> list[Ratings]:
    """Each verdict as a rater; one without a rating where there is none, for its width."""
    found = [
        _ratings(row.generations, verdict)
        for verdict in row.verdicts
        if verdict.aspect in aspects and verdict.judge in judges
    ]
    return found or [(None,) * len(row.generations)]


def _over_samples(samples: list[Ratings] | None, none: Ratings) -> Ratings:
    if samples is None:
        return none
    return samples[0] if len(samples) == 1 else by_column(samples, mean)


def _ratings(generations: Sequence[Generation], verdict: Verdict) -> Ratings:
    """As many as there are generations, also where a failed verdict brought fewer readings."""
    ratings: list[float | None] = [None] * len(generations)
    for place, reading in enumerate(verdict.readings[: len(generations)]):
        rating = reading.rating
        if rating is not None and reading.status == RATED and math.isfinite(rating):
            ratings[place] = rating if generations[place].text is not None else None
    return tuple(ratings)

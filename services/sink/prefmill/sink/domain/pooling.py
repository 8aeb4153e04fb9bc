"""Verdicts become scores: the aspects within each judge first, then the judges.

A rating counts if its status is `rated` and the text exists; `not-applicable` and what could not be
read are left out. Several samples of one judge on one aspect are one measurement: their mean. Of an
aspect judged in pairs, a judge's rating of a text is the share of its pairs that it won. A pool of
comparisons takes every verdict, and every pair, as it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

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
from prefmill.sink.domain.merging import by_sample, merged, settled
from prefmill.sink.pools.columns import by_column
from prefmill.sink.pools.mean import mean

Ratings = tuple[float | None, ...]
"""One per generation."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The ratings of one row, by judge and aspect: a row for each sample, or for each pair."""

    judges: Sequence[str]
    usable: dict[str, set[str]]
    """Aspect → judges with a usable verdict."""
    texts: int
    rows: dict[tuple[str, str], list[Ratings]] = field(default_factory=dict)

    def add(self, verdict: Verdict, rows: list[Ratings]) -> None:
        """Add what a judge says of an aspect, once more."""
        self.rows.setdefault((verdict.judge, verdict.aspect), []).extend(rows)

    def of(self, judge: str, aspect: str) -> Ratings:
        """A judge's rating of each generation: the mean over samples or pairs."""
        rows = self.rows.get((judge, aspect))
        if not rows:
            return (None,) * self.texts
        return rows[0] if len(rows) == 1 else by_column(rows, mean)

    def separate(self, aspects: Sequence[str]) -> list[Ratings]:
        """Every verdict or pair; one without a rating where there is none, for its width."""
        keys = [(judge, aspect) for judge in self.judges for aspect in aspects]
        return [row for key in keys for row in self.rows.get(key, ())] or [(None,) * self.texts]


def score_row(
    row: FinishedRow,
    judges_pool: Pool,
    aspects_pool: Pool,
    quorum: int,
    aspects: Sequence[str],
    judges: Sequence[str],
    of: Sequence[str] = (),
) -> ScoredRow:
    """The row with its pooled scores, or with the reason why it makes no judged data.

    `of` are the aspects that make the score: all if none are named. Verdicts of other judges or
    aspects than those named are ignored. An aspect needs usable verdicts of `quorum` judges:
    without them it has no scores, and neither has the row if it is one of those.
    """
    dropped = _unusable(row)
    if dropped is not None or not judges or not aspects:
        none = (None,) * len(row.generations)
        return ScoredRow(row, none, dict.fromkeys(aspects, none), dropped or _too_few(row))
    return _pooled(row, judges_pool, aspects_pool, quorum, _measured(row, aspects, judges), of)


def judge_ratings(
    row: FinishedRow,
    aspects_pool: Pool,
    aspects: Sequence[str],
    judges: Sequence[str],
    judges_pool: Pool | None = None,
) -> list[Ratings]:
    """Judges × generations, each judge's aspects pooled: what a judges' pool is fitted on. For a
    pool of comparisons: verdicts or pairs × generations."""
    return _of_judges(_measured(row, aspects, judges), aspects, aspects_pool, judges_pool)


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
    measured: Measured,
    of: Sequence[str],
) -> ScoredRow:
    none = (None,) * len(row.generations)
    usable = {aspect: len(judges) for aspect, judges in measured.usable.items()}
    by_aspect = {
        aspect: judges_pool.score(_of_judges(measured, (aspect,), None, judges_pool))
        if usable[aspect] >= quorum
        else none
        for aspect in usable
    }
    scoring = [aspect for aspect in usable if not of or aspect in of]
    whole = min((usable[aspect] for aspect in scoring), default=0) >= quorum
    over_judges = _of_judges(measured, scoring, aspects_pool, judges_pool)
    scores = judges_pool.score(over_judges) if whole else none
    dropped = _too_few(row) or (None if whole else TOO_FEW_VERDICTS)
    return ScoredRow(row, scores, by_aspect, dropped)


def _of_judges(
    measured: Measured, aspects: Sequence[str], aspects_pool: Pool | None, judges_pool: Pool | None
) -> list[Ratings]:
    """What the judges' pool is given; a single aspect needs no pool over aspects."""
    if judges_pool is not None and is_separate(judges_pool):
        return measured.separate(aspects)
    if aspects_pool is None:
        return [measured.of(judge, aspects[0]) for judge in measured.judges]
    return [
        aspects_pool.score([measured.of(judge, aspect) for aspect in aspects])
        for judge in measured.judges
    ]


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
    found = _measured(row, aspects, judges)
    ratings = [[found.of(judge, aspect) for aspect in aspects] for judge in judges]
    return ratings, {aspect: len(heard) for aspect, heard in found.usable.items()}


def _measured(row: FinishedRow, aspects: Sequence[str], judges: Sequence[str]) -> Measured:
    measured = Measured(judges, {aspect: set() for aspect in aspects}, len(row.generations))
    kept = [v for v in row.verdicts if v.aspect in measured.usable and v.judge in judges]
    for verdict in kept:
        if is_usable(verdict):
            measured.usable[verdict.aspect].add(verdict.judge)
    if all(verdict.shows == "all" for verdict in kept):
        for verdict in kept:
            measured.add(verdict, [_ratings(row.generations, verdict)])
    else:
        for group in by_sample(kept):
            measured.add(group[0], _rows(row, group))
    return measured


def _rows(row: FinishedRow, group: list[Verdict]) -> list[Ratings]:
    """The rows of a matrix that one sample of a judge on an aspect makes."""
    if group[0].shows == "pairs":
        return [pair.ratings(len(row.generations)) for pair in settled(group)]
    return [_ratings(row.generations, verdict) for verdict in merged(group)]


def _ratings(generations: Sequence[Generation], verdict: Verdict) -> Ratings:
    """As many as there are generations, also where a failed verdict brought fewer readings."""
    ratings: list[float | None] = [None] * len(generations)
    for place, reading in enumerate(verdict.readings[: len(generations)]):
        rating = reading.rating
        if rating is not None and reading.status == RATED and math.isfinite(rating):
            ratings[place] = rating if generations[place].text is not None else None
    return tuple(ratings)

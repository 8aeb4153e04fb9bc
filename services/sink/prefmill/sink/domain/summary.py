"""What the card says of models and judges: sums over finished rows that can be added up.

Rows that could not be loaded or are not finished are left out.
"""

from collections import defaultdict
from typing import Final

from prefmill.contracts.reasons import MISSING_GENERATION, NOT_APPLICABLE, NOT_SHOWN, RATED
from prefmill.contracts.rows import FinishedRow, Verdict
from prefmill.plugins.format import ScoredRow
from prefmill.sink.domain import agreement, bias
from prefmill.sink.domain.pooling import is_usable, measured

KINDS: Final = frozenset({RATED, NOT_APPLICABLE, MISSING_GENERATION, NOT_SHOWN})

Sums = dict[str, float]
Summary = dict[str, dict[str, Sums]]
"""Part → name → sums: `models`, `judges`, and what agreement and bias are computed from."""


def empty() -> Summary:
    """A summary of nothing."""
    parts = ("models", "judges", *agreement.PARTS, *bias.PARTS)
    return {part: defaultdict(_sums) for part in parts}


def count(summary: Summary, scored: ScoredRow) -> None:
    """Add one row."""
    row = scored.row
    if row.prompt.failure is not None or row.open_cells:
        return
    for generation, score in zip(row.generations, scored.scores, strict=True):
        sums = summary["models"][generation.model]
        sums["generations"] += 1
        sums["failed"] += generation.text is None
        if score is not None:
            sums["scored"] += 1
            sums["score"] += score
    for verdict in row.verdicts:
        _count_verdict(summary["judges"][verdict.judge], verdict)
    if row.verdicts:
        _count_ratings(summary, row)
        bias.count(summary, row)


def add(summary: Summary, other: Summary) -> None:
    """Add all of `other`."""
    for part, names in other.items():
        for name, sums in names.items():
            for key, value in sums.items():
                summary[part][name][key] += value


def _sums() -> Sums:
    return defaultdict(int)


def _count_ratings(summary: Summary, row: FinishedRow) -> None:
    judges = tuple(dict.fromkeys(verdict.judge for verdict in row.verdicts))
    aspects = tuple(dict.fromkeys(verdict.aspect for verdict in row.verdicts))
    ratings = measured(row, aspects, judges)[0]
    for index, aspect in enumerate(aspects):
        by_judge = {name: ratings[place][index] for place, name in enumerate(judges)}
        agreement.count(summary, aspect, by_judge)


def _count_verdict(sums: Sums, verdict: Verdict) -> None:
    sums["verdicts"] += 1
    sums["lost"] += not is_usable(verdict)
    for reading in verdict.readings:
        if reading.status == NOT_SHOWN:
            continue
        sums[reading.status if reading.status in KINDS else "unreadable"] += 1

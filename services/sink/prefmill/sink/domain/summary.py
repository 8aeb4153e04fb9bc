"""What the card says of models and judges: sums over finished rows that can be added up.

Rows that could not be loaded or are not finished are left out. Agreement is between the ratings
that two judges gave the same text on the same aspect.
"""

import math
from collections import defaultdict
from itertools import combinations
from typing import Final

from prefmill.contracts.reasons import MISSING_GENERATION, NOT_APPLICABLE, RATED
from prefmill.contracts.rows import FinishedRow, Verdict
from prefmill.plugins.format import ScoredRow
from prefmill.sink.domain.pooling import is_usable

KINDS: Final = frozenset({RATED, NOT_APPLICABLE, MISSING_GENERATION})

Sums = dict[str, float]
Summary = dict[str, dict[str, Sums]]
"""`models`, `judges` and `agreement` (`first & second`) → name → sums."""


def empty() -> Summary:
    """A summary of nothing."""
    return {part: defaultdict(_sums) for part in ("models", "judges", "agreement")}


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
    if len(row.verdicts) > 1:
        _count_agreement(summary["agreement"], row)


def add(summary: Summary, other: Summary) -> None:
    """Add all of `other`."""
    for part, names in other.items():
        for name, sums in names.items():
            for key, value in sums.items():
                summary[part][name][key] += value


def correlation(sums: Sums) -> float | None:
    """Pearson's r of two judges; None where one of them always gave the same rating."""
    n, x, y = sums["n"], sums["x"], sums["y"]
    spread = (n * sums["xx"] - x * x) * (n * sums["yy"] - y * y)
    return (n * sums["xy"] - x * y) / math.sqrt(spread) if spread > 0 else None


def _sums() -> Sums:
    return defaultdict(int)


def _count_verdict(sums: Sums, verdict: Verdict) -> None:
    sums["verdicts"] += 1
    sums["lost"] += not is_usable(verdict)
    for reading in verdict.readings:
        sums[reading.status if reading.status in KINDS else "unreadable"] += 1


def _count_agreement(agreement: dict[str, Sums], row: FinishedRow) -> None:
    for one, other in combinations(row.verdicts, 2):
        same = one.aspect == other.aspect and one.sample == other.sample
        if same and one.judge != other.judge:
            first, second = sorted((one, other), key=lambda verdict: verdict.judge)
            _compare(agreement[f"{first.judge} & {second.judge}"], first, second)


def _compare(sums: Sums, first: Verdict, second: Verdict) -> None:
    for one, other in zip(first.readings, second.readings, strict=False):
        x, y = one.rating, other.rating
        if x is None or y is None:
            continue
        products = {"n": 1, "equal": x == y, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
        for key, value in products.items():
            sums[key] += value

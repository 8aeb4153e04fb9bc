"""How far judges agree, from counts alone: nothing here grows with the number of rows.

A unit is one text on one aspect; a judge's several samples of it are one measurement, their mean.
Counts of two parts of a run can be added, and every figure is exact in what was counted.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations, permutations
from typing import Final, Literal

Counts = dict[str, dict[str, float]]
"""Names → counts, for one kind of figure; names of several parts are joined by tabs."""

Table = dict[tuple[float, float], float]
"""How often two ratings met."""

PARTS: Final = ("ratings", "joint", "coincidence")
DIGITS: Final = 2
"""Means of samples are counted to so many decimal places."""

Ratings = Sequence[float | None]


def count(parts: Mapping[str, Counts], aspect: str, by_judge: Mapping[str, Ratings]) -> None:
    """Add what the judges said of a row's texts on one aspect: judge → rating per generation."""
    named = {judge: [*map(_name, ratings)] for judge, ratings in sorted(by_judge.items())}
    for judge, names in named.items():
        seen = parts["ratings"][_key(judge, aspect)]
        for name in names:
            if name is not None:
                seen[name] += 1
    given = [len(column) - column.count(None) for column in zip(*named.values(), strict=True)]
    for (one, first), (other, second) in combinations(named.items(), 2):
        met = [
            (x, y, raters)
            for x, y, raters in zip(first, second, given, strict=True)
            if x is not None and y is not None
        ]
        if met:
            _count_pair(parts["joint"][_key(aspect, one, other)], parts["coincidence"][aspect], met)


def alpha(table: Table, scale: Literal["ordinal", "interval", "nominal"]) -> float | None:
    """Krippendorff's alpha of a coincidence table (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability"); None where ratings do not differ."""
    totals = _margins(table)[0]
    apart = _distance(totals, scale)
    n = math.fsum(totals.values())
    seen = math.fsum(count * apart(c, k) for (c, k), count in table.items())
    expected = math.fsum(totals[c] * totals[k] * apart(c, k) for c, k in permutations(totals, 2))
    return 1 - (n - 1) * seen / expected if expected else None


def kappa(table: Table) -> float | None:
    """Cohen's kappa of two judges with quadratic weights (Cohen 1968); None where neither differs
    from the other or from itself."""
    rows, columns = _margins(table)
    n = math.fsum(table.values())
    seen = math.fsum(count * (x - y) ** 2 for (x, y), count in table.items())
    expected = math.fsum(rows[x] * columns[y] * (x - y) ** 2 for x in rows for y in columns)
    return 1 - n * seen / expected if expected else None


def tau_b(table: Table) -> float | None:
    """Kendall's tau-b of two judges (Kendall 1945); None where one gave all texts one rating."""
    rows, columns = _margins(table)
    n = math.fsum(table.values())
    pairs = n * (n - 1) / 2
    untied = [pairs - math.fsum(m * (m - 1) / 2 for m in side.values()) for side in (rows, columns)]
    if not all(side > 0 for side in untied):
        return None
    return _concordance(table, sorted(rows), sorted(columns)) / math.sqrt(untied[0] * untied[1])


def correlation(table: Table) -> float | None:
    """Pearson's r of two judges; None where one of them always gave the same rating."""
    n = math.fsum(table.values())
    mean_x = math.fsum(m * x for (x, _), m in table.items()) / n
    mean_y = math.fsum(m * y for (_, y), m in table.items()) / n
    products = [(m, x - mean_x, y - mean_y) for (x, y), m in table.items()]
    spread = math.fsum(m * x * x for m, x, _ in products) * math.fsum(
        m * y * y for m, _, y in products
    )
    both = math.fsum(m * x * y for m, x, y in products)
    return both / math.sqrt(spread) if spread > 0 else None


def effective_judges(judges: int, mean_correlation: float) -> float:
    """How many independent judges as many correlated ones are worth: n / (1 + (n − 1) ρ), the
    design effect of Kish (1965), used for panels of judges in arXiv 2605.29800. At most n."""
    return judges / (1 + (judges - 1) * max(0.0, mean_correlation))


def entropy(ratings: Mapping[str, float]) -> float:
    """Bits of a distribution: 0 where a judge gives one rating only."""
    n = math.fsum(ratings.values())
    shares = [count / n for count in ratings.values() if count]
    return abs(math.fsum(share * math.log2(share) for share in shares))


def table_of(counts: Mapping[str, float]) -> Table:
    """Counts as they were added up, with their ratings as numbers."""
    return {
        (float(one), float(other)): count
        for key, count in counts.items()
        for one, other in [key.split("\t")]
    }


def names_of(key: str) -> list[str]:
    """The names that a key of counts was made of."""
    return key.split("\t")


def _count_pair(
    joint: dict[str, float], together: dict[str, float], met: list[tuple[str, str, int]]
) -> None:
    """Add the texts that two judges both rated: their names, and how many judges rated each."""
    for x, y, raters in met:
        share = 1 / (raters - 1)
        here, there = f"{x}\t{y}", f"{y}\t{x}"
        joint[here] += 1
        together[here] += share
        together[there] += share


def _key(*names: str) -> str:
    return "\t".join(names)


@lru_cache(maxsize=4096)
def _name(rating: float | None) -> str | None:
    return None if rating is None else f"{round(rating, DIGITS):g}"


def _margins(table: Table) -> tuple[dict[float, float], dict[float, float]]:
    rows: defaultdict[float, float] = defaultdict(float)
    columns: defaultdict[float, float] = defaultdict(float)
    for (x, y), count in table.items():
        rows[x] += count
        columns[y] += count
    return rows, columns


def _distance(totals: Mapping[float, float], scale: str) -> Callable[[float, float], float]:
    """The squared difference of two ratings, as the scale has it."""
    middles: dict[float, float] = {}
    below = 0.0
    for rating in sorted(totals):
        middles[rating] = below + totals[rating] / 2
        below += totals[rating]
    scales: dict[str, Callable[[float, float], float]] = {
        "interval": lambda one, other: (one - other) ** 2,
        "nominal": lambda one, other: float(one != other),
        "ordinal": lambda one, other: (middles[one] - middles[other]) ** 2,
    }
    return scales[scale]


def _concordance(table: Table, rows: list[float], columns: list[float]) -> float:
    """Concordant pairs less discordant ones: each cell against what lies above it in both."""
    place = {y: index for index, y in enumerate(columns)}
    below = [0.0] * len(columns)
    balance = 0.0
    by_row: dict[float, list[tuple[int, float]]] = {x: [] for x in rows}
    for (x, y), count in table.items():
        by_row[x].append((place[y], count))
    for x in rows:
        for index, count in by_row[x]:
            balance += count * (math.fsum(below[:index]) - math.fsum(below[index + 1 :]))
        for index, count in by_row[x]:
            below[index] += count
    return balance

"""How often two models of a weighted pool are to meet in one row.

Shares alone leave that open. Taken here is what the most random design with these shares gives:
conditional Poisson sampling (Hájek 1964; Chen, Dempster and Liu, Biometrika 1994), in which a set
of models is drawn with a probability proportional to the product of their odds.
"""

from collections.abc import Sequence
from typing import Final

ROUNDS: Final = 500
CLOSE: Final = 1e-10

Table = list[list[float]]


def meetings(shares: Sequence[float], size: int) -> Table:
    """For each two models the probability that both are drawn; 0 on the diagonal.

    `shares` lie strictly between 0 and 1 and sum to `size`. Each line sums to
    `(size - 1) × share`. Only `+ - × ÷`, so that every machine computes the same.
    """
    table = [[0.0] * len(shares) for _ in shares]
    if size < 2:
        return table
    odds = _odds(shares, size)
    whole = _sums(odds, size)[size]
    for one in range(len(odds)):
        for other in range(one):
            rest = odds[:other] + odds[other + 1 : one] + odds[one + 1 :]
            both = odds[one] * odds[other] * _sums(rest, size - 2)[size - 2] / whole
            table[one][other] = table[other][one] = both
    return table


def _odds(shares: Sequence[float], size: int) -> list[float]:
    """Odds whose conditional Poisson design has these shares, by fixed-point iteration."""
    odds = [share / (1 - share) for share in shares]
    for _ in range(ROUNDS):
        rests = [_sums(odds[:m] + odds[m + 1 :], size) for m in range(len(odds))]
        wanted = [
            share / (1 - share) * rest[size] / rest[size - 1]
            for share, rest in zip(shares, rests, strict=True)
        ]
        change = max(abs(new / old - 1) for new, old in zip(wanted, odds, strict=True))
        scale = sum(wanted)
        odds = [value * len(wanted) / scale for value in wanted]
        if change < CLOSE:
            break
    return odds


def _sums(odds: Sequence[float], size: int) -> list[float]:
    """Elementary symmetric polynomials of degree 0 to `size`."""
    sums = [1.0] + [0.0] * size
    for value in odds:
        for degree in range(size, 0, -1):
            sums[degree] += value * sums[degree - 1]
    return sums

"""The quality of a text, 1 to 5: written into simulated answers, and read off any text."""

import re
from functools import lru_cache
from statistics import NormalDist
from typing import Final

from prefmill.engines.simulated.chance import draw, unit

BEST: Final = 5
_MARKER: Final = re.compile(r"quality ([1-5]) of 5\b")
_NORMAL: Final = NormalDist()
_NOT_LETTERS: Final = re.compile(r"[\W_]+")


def marker(quality: int) -> str:
    """The closing line of a simulated answer. It resembles no heading or label of a verdict."""
    return f"(A simulated answer of quality {quality} of 5.)"


def quality_of(text: str) -> int:
    """1 to 5: what the last marker says; for a text without one, a stable hash of its letters
    and digits, so that escaping, quoting or stripping a text does not change its quality."""
    at = text.rfind("quality ")
    while at >= 0:
        if found := _MARKER.match(text, at):
            return int(found[1])
        at = text.rfind("quality ", 0, at)
    return 1 + draw("quality", _NOT_LETTERS.sub("", text)) % BEST


def fingerprint_of(text: str) -> str:
    """Four hex digits that tell texts apart; verdicts cite those of the text as it was shown, so
    that a rationale on the wrong text is visible too."""
    return f"{draw('fingerprint', text) & 0xFFFF:04x}"


@lru_cache(maxsize=256)
def mean_of(model: str) -> float:
    """The mean quality of a model's answers, 2.2 to 3.8, from its name."""
    return 2.2 + 1.6 * unit("mean", model)


def normal(chance: float) -> float:
    """The standard normal deviate that a number from 0 to 1 stands for."""
    return _NORMAL.inv_cdf(min(max(chance, 1e-9), 1 - 1e-9))


def quality_at(chance: float, mean: float, spread: float) -> int:
    """A quality around `mean`, standard deviation about `spread`, rounded and clipped to 1–5."""
    return min(BEST, max(1, round(mean + spread * normal(chance))))

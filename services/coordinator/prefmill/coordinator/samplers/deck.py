"""Equal shares: models are dealt like cards, and partners change.

All models are dealt once before any is dealt again, so after any number of rows each has been
drawn as often as any other, give or take one. Which of them come together in a row is decided by
how often they have met: those that have met least, and where that is equal, the shuffle decides.
"""

from operator import add
from random import Random
from typing import Final

ROWS: Final = 10_000


def block_rows(models: int) -> int:
    """Rows of a block: ten thousand or a little more, so that it ends with a whole deck."""
    return -(-ROWS // models) * models


class DeckBlock:
    """Draws of `size` out of `models`, row by row; a block begins with a fresh deck."""

    def __init__(self, models: int, size: int, seed: int) -> None:
        self._models = range(models)
        self._size = size
        self._random = Random(seed)
        self._met = [[0] * models for _ in self._models]
        self._deck: list[int] = []
        self._draws: list[frozenset[int]] = []

    def draw(self, row: int) -> frozenset[int]:
        """The models drawn for a row of the block, counted from 0."""
        while row >= len(self._draws):
            self._draws.append(self._deal())
        return self._draws[row]

    def _deal(self) -> frozenset[int]:
        self._deck = self._deck or self._shuffled()
        if len(self._deck) < self._size:
            return frozenset(self._across())
        chosen = [self._deck.pop()]
        self._complete(chosen, self._deck)
        return frozenset(chosen)

    def _across(self) -> list[int]:
        """A row that takes the rest of one deck and the first models of the next."""
        rest, deck = self._deck, self._shuffled()
        held = [model for model in deck if model not in rest]
        chosen = list(rest)
        self._complete(chosen, held)
        self._deck = [model for model in deck if model in rest or model in held]
        return chosen

    def _complete(self, chosen: list[int], held: list[int]) -> None:
        """Move those of `held` that have met the chosen ones least, until the row is full."""
        scores = self._met[chosen[0]]
        for model in chosen[1:]:
            scores = list(map(add, scores, self._met[model]))
        while len(chosen) < self._size:
            model = min(held, key=scores.__getitem__)
            held.remove(model)
            chosen.append(model)
            scores = list(map(add, scores, self._met[model]))
        for model in chosen:
            met = self._met[model]
            for other in chosen:
                met[other] += 1

    def _shuffled(self) -> list[int]:
        """All models, in an order of chance that is the same under every version of Python."""
        drawn = [(self._random.random(), model) for model in self._models]
        return [model for _, model in sorted(drawn)]

"""What a revision wants of a row, by the ledger's keys: shared by planner and exports. Pure."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field

from prefmill.contracts.base import Frozen
from prefmill.ledger.planning import CellKey

Generation = tuple[int, int]
"""Slot and sample."""


class Desired(Frozen):
    """Stored with the revision. Aliases map to slots."""

    models: dict[str, int] = Field(description="Models that can answer.")
    judges: dict[str, int] = Field(description="Judges, in the recipe's order.")
    rubric: str = Field(default="", description="Name of the rubric; empty without judges.")
    rubric_hash: str = Field(default="", description="Of its templates and scales, hex.")
    aspects: tuple[str, ...] = Field(default=(), description="What is judged.")
    least_generations: int = Field(default=2, description="Usable ones a row needs.")
    rows: int | None = Field(default=None, description="Rows from here on are not wanted.")

    def generations(
        self, drawn: Sequence[str], given: Mapping[str, int] | None
    ) -> list[tuple[str, Generation]]:
        """Alias and cell of a row's generations in draw order, or with `given` (slots by name)
        of the responses that came with it. Models that the recipe no longer names are left out."""
        slots = self.models if given is None else given
        return [(alias, (slots[alias], 0)) for alias in drawn if alias in slots]

    def verdicts(self, shown: Sequence[tuple[Generation, bytes]]) -> Iterator[tuple[str, CellKey]]:
        """Alias of the judge and cell of all verdicts wanted on the usable generations, each
        with the SHA-256 of its text; none if they are too few."""
        if len(shown) < self.least_generations:
            return
        target = target_of(shown)
        for alias, slot in self.judges.items():
            for aspect in self.aspects:
                yield alias, CellKey(slot, aspect, 0, target)


def target_of(shown: Sequence[tuple[Generation, bytes]]) -> bytes:
    """16 bytes for an ordered set of generations."""
    hashed = hashlib.sha256()
    for (slot, sample), sha in shown:
        hashed.update(b"%d,%d," % (slot, sample))
        hashed.update(sha)
    return hashed.digest()[:16]


def answer_key(generation: Generation) -> CellKey:
    """The cell of an answer, as failures and attempts are keyed."""
    slot, sample = generation
    return CellKey(slot, "", sample, b"")

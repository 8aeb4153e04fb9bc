"""What the formats of pairs share: a row becomes one record a pair, or says why it made none."""

from abc import abstractmethod
from typing import Final

from prefmill.contracts.rows import Generation, Prompt
from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.sink.domain.pairing import Paired, pairs
from prefmill.sink.formats.columns import (
    TEXT,
    ArrowType,
    Record,
    assistant,
    conversation,
    metadata_of,
    struct_of,
    unscored,
)
from prefmill.sink.formats.one import OneConfig

TURN: Final[ArrowType] = struct_of(role=TEXT, content=TEXT)
"""One message."""


class PairFormat(OneConfig):
    """One config with one record a pair; a format adds its name, its columns and their values."""

    def written(self, row: ScoredRow) -> Written:
        """The row's pairs."""
        found = paired(row, self.context)
        records: list[Record] = []
        if found.pairs:
            shared = _kept(row.row.prompt) | self.prompt(row.row.prompt)
            records = [shared | self.sides(row, *pair) for pair in found.pairs]
        return Written(tuple(records), found.outcome, found.reason)

    @abstractmethod
    def prompt(self, prompt: Prompt) -> Record:
        """The columns that all pairs of a prompt share, but for `id` and `metadata`."""

    @abstractmethod
    def sides(self, row: ScoredRow, chosen: int, rejected: int) -> Record:
        """The columns of one pair: indices of its chosen and its rejected generation."""


def paired(row: ScoredRow, context: FormatContext) -> Paired:
    """The pairs of a row, which has none if it makes no judged data."""
    reason = unscored(row, context)
    if reason is not None:
        return Paired((), "dropped", reason)
    return pairs(row.row, row.scores, context.pairing, context.seed)


def answers(row: ScoredRow, chosen: int, rejected: int) -> Record:
    """Both sides as one message each."""
    generations = row.row.generations
    return {"chosen": _answer(generations[chosen]), "rejected": _answer(generations[rejected])}


def conversations(row: ScoredRow, chosen: int, rejected: int) -> Record:
    """Both sides as whole conversations."""
    history, sides = conversation(row.row.prompt), answers(row, chosen, rejected)
    return {side: [*history, answer] for side, answer in sides.items()}


def _answer(generation: Generation) -> Record:
    return assistant(generation.text)


def _kept(prompt: Prompt) -> Record:
    return {"id": prompt.id, "metadata": metadata_of(prompt)}

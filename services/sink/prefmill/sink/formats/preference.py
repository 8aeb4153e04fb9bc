"""`preference`: pairs as whole conversations, with models and ratings (FIELD: DPO columns that
readers of distilabel's and H4's datasets expect)."""

import hashlib
from typing import ClassVar, Final

from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.sink.domain.pairing import Pair
from prefmill.sink.formats.columns import (
    MESSAGES,
    SCORE,
    TEXT,
    NoOptions,
    Record,
    Schema,
    assistant,
    conversation,
    metadata_of,
    model_of,
    schema_of,
)
from prefmill.sink.formats.paired import paired, written

SCHEMA: Final[Schema] = schema_of(
    prompt=TEXT,
    prompt_id=TEXT,
    chosen=MESSAGES,
    rejected=MESSAGES,
    chosen_model=TEXT,
    rejected_model=TEXT,
    chosen_rating=SCORE,
    rejected_rating=SCORE,
)


class PreferenceFormat:
    """One record a pair; `prompt` is the last user turn."""

    Options: ClassVar = NoOptions
    training: ClassVar = True

    def __init__(self, options: NoOptions, context: FormatContext) -> None:
        self.options = options
        self.context = context

    def configs(self) -> dict[str, Schema]:
        """One: `preference`."""
        return {"preference": SCHEMA}

    def write(self, row: ScoredRow) -> dict[str, Written]:
        """The row's pairs."""
        found = paired(row, self.context)
        return {"preference": written(found, _records(row, found.pairs) if found.pairs else [])}


def prompt_id_of(instruction: str) -> str:
    """SHA-256, hex, of the instruction."""
    return hashlib.sha256(instruction.encode()).hexdigest()


def _records(scored: ScoredRow, pairs: tuple[Pair, ...]) -> list[Record]:
    prompt = scored.row.prompt
    history = conversation(prompt)
    shared = {
        "id": prompt.id,
        "prompt": prompt.instruction,
        "prompt_id": prompt_id_of(prompt.instruction),
        "metadata": metadata_of(prompt),
    }
    return [shared | _sides(scored, history, *pair) for pair in pairs]


def _sides(scored: ScoredRow, history: list[Record], chosen: int, rejected: int) -> Record:
    better, worse = scored.row.generations[chosen], scored.row.generations[rejected]
    return {
        "chosen": [*history, assistant(better.text)],
        "rejected": [*history, assistant(worse.text)],
        "chosen_model": model_of(better),
        "rejected_model": model_of(worse),
        "chosen_rating": scored.scores[chosen],
        "rejected_rating": scored.scores[rejected],
    }

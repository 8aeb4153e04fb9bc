"""`trl`: pairs with an explicit prompt, as TRL's DPO, ORPO, CPO and reward trainers read them."""

from typing import ClassVar, Final

from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.sink.domain.pairing import Pair
from prefmill.sink.formats.columns import (
    MESSAGES,
    NoOptions,
    Record,
    Schema,
    assistant,
    conversation,
    metadata_of,
    schema_of,
)
from prefmill.sink.formats.paired import paired, written

SCHEMA: Final[Schema] = schema_of(prompt=MESSAGES, chosen=MESSAGES, rejected=MESSAGES)


class TrlFormat:
    """One record a pair: the conversation, and one assistant message for each side."""

    Options: ClassVar = NoOptions
    training: ClassVar = True

    def __init__(self, options: NoOptions, context: FormatContext) -> None:
        self.options = options
        self.context = context

    def configs(self) -> dict[str, Schema]:
        """One: `trl`."""
        return {"trl": SCHEMA}

    def write(self, row: ScoredRow) -> dict[str, Written]:
        """The row's pairs."""
        found = paired(row, self.context)
        return {"trl": written(found, _records(row, found.pairs) if found.pairs else [])}


def _records(scored: ScoredRow, pairs: tuple[Pair, ...]) -> list[Record]:
    prompt, generations = scored.row.prompt, scored.row.generations
    shared = {
        "id": prompt.id,
        "prompt": conversation(prompt),
        "metadata": metadata_of(prompt),
    }
    return [
        shared
        | {
            "chosen": [assistant(generations[chosen].text)],
            "rejected": [assistant(generations[rejected].text)],
        }
        for chosen, rejected in pairs
    ]

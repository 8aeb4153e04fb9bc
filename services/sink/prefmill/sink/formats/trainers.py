"""`axolotl` and `llama-factory`: pairs under the names of two other trainers.

axolotl: `type: chat_template.default` for DPO and its kin. LLaMA-Factory: sharegpt formatting with
`ranking: true`; the entry of its `dataset_info.json` is written beside the data.
"""

from typing import ClassVar, Final

from pydantic import JsonValue

from prefmill.contracts.rows import Prompt
from prefmill.plugins.format import ScoredRow
from prefmill.sink.formats.columns import (
    MESSAGES,
    TEXT,
    ArrowType,
    Record,
    conversation,
    list_of,
    struct_of,
)
from prefmill.sink.formats.pairs import TURN, PairFormat, answers

SPOKEN: Final[ArrowType] = struct_of(**{"from": TEXT, "value": TEXT})
SPEAKERS: Final = {"user": "human", "assistant": "gpt"}


class AxolotlFormat(PairFormat):
    """`messages` is the prompt, each side one message."""

    name: ClassVar = "axolotl"
    columns: ClassVar = {"messages": MESSAGES, "chosen": TURN, "rejected": TURN}

    def prompt(self, prompt: Prompt) -> Record:
        """The conversation."""
        return {"messages": conversation(prompt)}

    def sides(self, row: ScoredRow, chosen: int, rejected: int) -> Record:
        """One message each."""
        return answers(row, chosen, rejected)


class LlamaFactoryFormat(PairFormat):
    """`conversations` is the prompt without its system turn, which has a column of its own."""

    name: ClassVar = "llama-factory"
    columns: ClassVar = {
        "conversations": list_of(SPOKEN),
        "chosen": SPOKEN,
        "rejected": SPOKEN,
        "system": TEXT,
    }

    def pages(self) -> dict[str, JsonValue]:
        """`dataset_info.json`: point `dataset_dir` at the folder, name `prefmill` as dataset, and
        `prefmill-test` as the one to evaluate on, where prompts are kept for a test."""
        columns = {name: name for name in ("chosen", "rejected", "system")}
        entry: dict[str, JsonValue] = {
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "conversations", **columns},
        }
        if not self.context.test:
            return {"dataset_info.json": {"prefmill": {"file_name": self.name, **entry}}}
        # A folder is read as a whole, both splits: with them, our card says which file is whose.
        entry = {"script_url": ".", "subset": self.name, **entry}
        sides = {"prefmill": "train", "prefmill-test": "test"}
        return {"dataset_info.json": {n: {**entry, "split": side} for n, side in sides.items()}}

    def prompt(self, prompt: Prompt) -> Record:
        """The turns, and the system prompt; empty where there is none."""
        turns = conversation(prompt)
        system = turns.pop(0)["content"] if turns and turns[0]["role"] == "system" else ""
        return {"conversations": [_spoken(turn) for turn in turns], "system": system}

    def sides(self, row: ScoredRow, chosen: int, rejected: int) -> Record:
        """One turn each."""
        return {name: _spoken(turn) for name, turn in answers(row, chosen, rejected).items()}


def _spoken(turn: Record) -> Record:
    return {"from": SPEAKERS[turn["role"]], "value": turn["content"]}

"""`preference` and `h4`: pairs as whole conversations, in the columns that readers of distilabel's
DPO datasets and of H4's UltraFeedback-binarized expect."""

import hashlib
from typing import ClassVar, Final

from prefmill.contracts.rows import Prompt
from prefmill.plugins.format import ScoredRow
from prefmill.sink.formats.columns import MESSAGES, SCORE, TEXT, ArrowType, Record, model_of
from prefmill.sink.formats.pairs import PairFormat, conversations

CONVERSATIONS: Final[dict[str, ArrowType]] = {
    "prompt": TEXT,
    "prompt_id": TEXT,
    "chosen": MESSAGES,
    "rejected": MESSAGES,
}


class PreferenceFormat(PairFormat):
    """`prompt` is the last user turn."""

    name: ClassVar = "preference"
    columns: ClassVar = {
        **CONVERSATIONS,
        "chosen_model": TEXT,
        "rejected_model": TEXT,
        "chosen_rating": SCORE,
        "rejected_rating": SCORE,
    }

    def prompt(self, prompt: Prompt) -> Record:
        """The instruction and its hash."""
        return _instruction(prompt)

    def sides(self, row: ScoredRow, chosen: int, rejected: int) -> Record:
        """Conversations, models and scores."""
        generations = row.row.generations
        return conversations(row, chosen, rejected) | {
            "chosen_model": model_of(generations[chosen]),
            "rejected_model": model_of(generations[rejected]),
            "chosen_rating": row.scores[chosen],
            "rejected_rating": row.scores[rejected],
        }


class H4Format(PairFormat):
    """`messages` is the chosen conversation once more, for supervised training."""

    name: ClassVar = "h4"
    columns: ClassVar = {
        **CONVERSATIONS,
        "messages": MESSAGES,
        "score_chosen": SCORE,
        "score_rejected": SCORE,
    }

    def prompt(self, prompt: Prompt) -> Record:
        """The instruction and its hash."""
        return _instruction(prompt)

    def sides(self, row: ScoredRow, chosen: int, rejected: int) -> Record:
        """Conversations and scores."""
        both = conversations(row, chosen, rejected)
        return both | {
            "messages": both["chosen"],
            "score_chosen": row.scores[chosen],
            "score_rejected": row.scores[rejected],
        }


def prompt_id_of(instruction: str) -> str:
    """SHA-256, hex, of the instruction."""
    return hashlib.sha256(instruction.encode()).hexdigest()


def _instruction(prompt: Prompt) -> Record:
    return {"prompt": prompt.instruction, "prompt_id": prompt_id_of(prompt.instruction)}

"""`sft`: the best answer of each prompt, as one conversation.

There is no `prompt` column on purpose: TRL's SFT trainer takes a dataset that has one for pairs of
prompt and completion, and stops.
"""

from typing import ClassVar, Final

from prefmill.contracts.reasons import TOO_FEW_GENERATIONS, TOO_FEW_SCORES
from prefmill.plugins.format import ScoredRow, Written
from prefmill.sink.domain.pairing import DIGITS
from prefmill.sink.formats.columns import (
    MESSAGES,
    SCORE,
    TEXT,
    ArrowType,
    Record,
    assistant,
    conversation,
    dropped,
    metadata_of,
    model_of,
    unusable,
)
from prefmill.sink.formats.one import OneConfig
from prefmill.sink.formats.preference import prompt_id_of

COLUMNS: Final[dict[str, ArrowType]] = {
    "prompt_id": TEXT,
    "messages": MESSAGES,
    "model": TEXT,
    "score": SCORE,
}


class SftFormat(OneConfig):
    """One record a prompt: its best-scored generation, of equally good ones the first.

    The only usable generation needs no score, and neither does any where the recipe names no judge:
    then it is the first.
    """

    name: ClassVar = "sft"
    columns: ClassVar = COLUMNS

    def written(self, row: ScoredRow) -> Written:
        """One record, or why there is none."""
        best, reason = self._best(row)
        return dropped(reason) if best is None else Written((_record(row, best),), "out")

    def _best(self, row: ScoredRow) -> tuple[int | None, str]:
        reason = unusable(row)
        if reason is not None:
            return None, reason
        usable = [i for i, given in enumerate(row.row.generations) if given.text is not None]
        if not usable:
            return None, TOO_FEW_GENERATIONS
        if len(usable) == 1 or not self.context.judges:
            return usable[0], ""
        scores = {i: round(score, DIGITS) for i in usable if (score := row.scores[i]) is not None}
        if row.dropped is not None or not scores:
            return None, row.dropped or TOO_FEW_SCORES
        return max(scores, key=scores.__getitem__), ""


def _record(scored: ScoredRow, best: int) -> Record:
    prompt, generation = scored.row.prompt, scored.row.generations[best]
    return {
        "id": prompt.id,
        "prompt_id": prompt_id_of(prompt.instruction),
        "messages": [*conversation(prompt), assistant(generation.text)],
        "model": model_of(generation),
        "score": scored.scores[best],
        "metadata": metadata_of(prompt),
    }

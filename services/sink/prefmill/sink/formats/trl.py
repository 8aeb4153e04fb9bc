"""`trl` and `reward`: pairs as TRL's DPO, ORPO, CPO and reward trainers read them
(https://huggingface.co/docs/trl/dataset_formats#preference)."""

from typing import ClassVar, Final, Literal

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.rows import Prompt
from prefmill.plugins.format import FormatContext, ScoredRow
from prefmill.sink.formats.columns import (
    MESSAGES,
    SCORE,
    ArrowType,
    Record,
    Schema,
    conversation,
    schema_of,
)
from prefmill.sink.formats.pairs import PairFormat, answers, conversations

SIDES: Final[dict[str, ArrowType]] = {"chosen": MESSAGES, "rejected": MESSAGES}


class TrlOptions(Strict):
    """`trl`, or `{trl: implicit}`."""

    prompt: Literal["explicit", "implicit"] = Field(
        default="explicit",
        alias="trl",
        description="`explicit`: the prompt in a column of its own, one message a side; "
        "`implicit`: both sides are whole conversations.",
    )


class TrlFormat(PairFormat):
    """Message lists, with the prompt beside the answers or within them."""

    Options: ClassVar = TrlOptions
    name: ClassVar = "trl"
    columns: ClassVar = {"prompt": MESSAGES, **SIDES}

    def __init__(self, options: TrlOptions, context: FormatContext) -> None:
        super().__init__(options, context)
        self.implicit = options.prompt == "implicit"

    def configs(self) -> dict[str, Schema]:
        """One: `trl`."""
        return {"trl": schema_of(**SIDES)} if self.implicit else super().configs()

    def prompt(self, prompt: Prompt) -> Record:
        """The conversation, if it is explicit."""
        return {} if self.implicit else {"prompt": conversation(prompt)}

    def sides(self, row: ScoredRow, chosen: int, rejected: int) -> Record:
        """One message each, or the whole conversations."""
        if self.implicit:
            return conversations(row, chosen, rejected)
        return {side: [answer] for side, answer in answers(row, chosen, rejected).items()}


class RewardOptions(Strict):
    """`reward`, or `{reward: margin}`."""

    extra: Literal["margin"] | None = Field(
        default=None,
        alias="reward",
        description="`margin` adds a column with the difference of the scores, which TRL's reward "
        "trainer then takes into its loss.",
    )


class RewardFormat(PairFormat):
    """Implicit prompts with both scores. A margin only where asked for, as it changes training."""

    Options: ClassVar = RewardOptions
    name: ClassVar = "reward"
    columns: ClassVar = {**SIDES, "score_chosen": SCORE, "score_rejected": SCORE}

    def __init__(self, options: RewardOptions, context: FormatContext) -> None:
        super().__init__(options, context)
        self.margin = options.extra == "margin"

    def configs(self) -> dict[str, Schema]:
        """One: `reward`."""
        extra = {"margin": SCORE} if self.margin else {}
        return {"reward": schema_of(**self.columns, **extra)}

    def prompt(self, prompt: Prompt) -> Record:
        """Nothing: it stands in both sides."""
        return {}

    def sides(self, row: ScoredRow, chosen: int, rejected: int) -> Record:
        """Conversations and scores."""
        better, worse = row.scores[chosen], row.scores[rejected]
        assert better is not None
        assert worse is not None
        scores = {"score_chosen": better, "score_rejected": worse}
        margin = {"margin": better - worse} if self.margin else {}
        return conversations(row, chosen, rejected) | scores | margin

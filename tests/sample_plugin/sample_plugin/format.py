"""`formats: [winners]`: the best answer of each prompt, and by how much."""

from typing import Any, ClassVar

from prefmill.contracts.base import Strict
from prefmill.plugins.format import FormatContext, ScoredRow, Written


class WinnersOptions(Strict):
    """None."""


class Winners:
    """One record a prompt; a tie where two are best."""

    Options: ClassVar[type[Strict]] = WinnersOptions
    training: ClassVar[bool] = False

    def __init__(self, options: Strict, context: FormatContext) -> None:
        self.options, self.context = options, context

    def configs(self) -> dict[str, Any]:
        """A function, so that pyarrow is imported only when a dataset is written."""
        return {"winners": _schema}

    def write(self, row: ScoredRow) -> dict[str, Written]:
        """Every row has exactly one outcome."""
        failure = row.row.prompt.failure
        dropped = failure.reason if failure else row.dropped
        if dropped is not None:
            return {"winners": Written((), "dropped", dropped)}
        ranked = sorted((s, i) for i, s in enumerate(row.scores) if s is not None)
        if len(ranked) > 1 and ranked[-1][0] == ranked[-2][0]:
            return {"winners": Written((), "tie")}
        score, index = ranked[-1]
        best = row.row.generations[index]
        record = {"id": row.row.prompt.id, "winner": best.model, "text": best.text, "score": score}
        return {"winners": Written((record,), "out")}


def _schema() -> Any:
    import pyarrow as pa

    names = ("id", "winner", "text")
    return pa.schema([*((name, pa.string()) for name in names), ("score", pa.float64())])

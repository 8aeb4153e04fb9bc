"""What the judge does with each message."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from prefmill.contracts.channels import JUDGED
from prefmill.contracts.reasons import STREAK
from prefmill.contracts.results import BatchJudged, JudgedCell, LaneProblem
from prefmill.contracts.work import JudgeBatch, JudgeCell, JudgeRow, LaneKind
from prefmill.engines.outcome import LaneDown, Outcome
from prefmill.engines.streak import LONGEST, Streak
from prefmill.judge.domain.shelf import Shelf
from prefmill.judge.domain.verdicts import judged, request_of, unasked
from prefmill.plugins.engine import ChatRequest

Call = Callable[[ChatRequest], Awaitable[Outcome]]


class Judging:
    """JudgeBatch → BatchJudged, cell by cell: ask, call, read, undo the shuffle."""

    kind: LaneKind = "judge"
    batch = JudgeBatch
    reply = BatchJudged
    channel = JUDGED

    def __init__(self, *, plugin_files: bool = False) -> None:
        self._shelf = Shelf(plugin_files=plugin_files)
        self._bugs: defaultdict[tuple[str, str], Streak] = defaultdict(Streak)

    def begin(
        self, batch: JudgeBatch
    ) -> Callable[[JudgeRow, JudgeCell, Call], Awaitable[JudgedCell]]:
        """How the cells of this batch are answered. RecipeError if the rubric cannot be made."""
        rubric, params = self._shelf.rubric_of(batch), batch.params
        bugs = self._bugs[batch.lane, batch.rubric]

        async def judge(row: JudgeRow, cell: JudgeCell, call: Call) -> JudgedCell:
            if bugs.count >= LONGEST:
                bugs.end()  # whoever clears the lane wants to see whether it goes now
                raise LaneDown(_broken(batch.rubric, bugs.last))
            try:
                request = request_of(rubric, params, row, cell)
            except Exception as error:  # noqa: BLE001 - one row that breaks a template is one row
                return unasked(row, cell, error)
            return judged(rubric, row, cell, await call(request), bugs)

        return judge


def _broken(rubric: str, last: str) -> LaneProblem:
    said = f"{LONGEST} answers in succession could not be read, the last: {last}"
    return LaneProblem(reason=STREAK, detail=f"{said}; put the rubric {rubric} right, or retry")


HANDLERS: Final = {JudgeBatch: Judging}
"""LanesOpened and BatchesWithdrawn are for every worker alike: prefmill.messaging.worker."""

"""What the call layer gives back: an outcome, or the news that the lane is down."""

import msgspec

from prefmill.contracts.chat import Failure, Usage
from prefmill.contracts.results import LaneProblem
from prefmill.plugins.engine import Completion


class LaneDown(Exception):
    """The lane is paused: this call is not counted, and goes back."""

    def __init__(self, problem: LaneProblem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Outcome(msgspec.Struct, frozen=True):
    """What became of a request: a completion, or a failure that is the request's own. What was
    paid (`usage`), who answered and the raw text are there in both cases, where known."""

    completion: Completion | None
    failure: Failure | None
    latency_ms: int
    usage: Usage
    model: str
    raw: str

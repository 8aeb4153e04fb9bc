"""The table of channels: type, subject, stream, consumer, and who sends.

| message | subject | stream | consumer | sent by |
|---|---|---|---|---|
| GenerateBatch | generate.v1.LANE | GENERATE | the lane's slug | coordinator |
| JudgeBatch | judge.v1.LANE | JUDGE | the lane's slug | coordinator |
| BatchGenerated | results.v1.generated | RESULTS | sink | generator |
| BatchJudged | results.v1.judged | RESULTS | sink | judge |
| BatchDied | dead.v1.KIND | DEAD | sink | generator, judge, sink |
| (the server's) | $JS.EVENT.ADVISORY.CONSUMER.… | ADVISORIES | – | nats-server |
| WorkerAnnounced | workers.v1 | core | – | generator, judge |
| LanesOpened | lanes.v1 | core | – | coordinator |
| BatchesWithdrawn | withdrawn.v1 | core | – | coordinator |
"""

from dataclasses import dataclass
from typing import Final

from prefmill.contracts.base import Frozen, Wire
from prefmill.contracts.results import BatchDied, BatchGenerated, BatchJudged
from prefmill.contracts.work import GenerateBatch, JudgeBatch, LaneKind
from prefmill.contracts.workers import BatchesWithdrawn, LanesOpened, WorkerAnnounced


@dataclass(frozen=True)
class Channel:
    """One row of the table. `subject` ends in `.` where a lane's slug or a kind follows."""

    message: type[Frozen] | type[Wire]
    subject: str
    stream: str | None
    sent_by: tuple[str, ...]


GENERATE: Final = Channel(GenerateBatch, "generate.v1.", "GENERATE", ("coordinator",))
JUDGE: Final = Channel(JudgeBatch, "judge.v1.", "JUDGE", ("coordinator",))
GENERATED: Final = Channel(BatchGenerated, "results.v1.generated", "RESULTS", ("generator",))
JUDGED: Final = Channel(BatchJudged, "results.v1.judged", "RESULTS", ("judge",))
DEAD: Final = Channel(BatchDied, "dead.v1.", "DEAD", ("generator", "judge", "sink"))
WORKERS: Final = Channel(WorkerAnnounced, "workers.v1", None, ("generator", "judge"))
LANES: Final = Channel(LanesOpened, "lanes.v1", None, ("coordinator",))
WITHDRAWN: Final = Channel(BatchesWithdrawn, "withdrawn.v1", None, ("coordinator",))

CHANNELS: Final = (GENERATE, JUDGE, GENERATED, JUDGED, DEAD, WORKERS, LANES, WITHDRAWN)

WORK: Final[dict[LaneKind, Channel]] = {"generate": GENERATE, "judge": JUDGE}
"""The channel on which a kind of lane gets its batches."""


def subject_of(kind: LaneKind, slug: str) -> str:
    """The subject of a lane's batches."""
    return WORK[kind].subject + slug

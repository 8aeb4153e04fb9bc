"""Who serves which lane, from announcements that may be lost."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from prefmill.contracts.api import LaneStatus, WorkerStatus
from prefmill.contracts.workers import LaneHealth, LaneServed, LaneSpec, WorkerAnnounced

FORGOTTEN_AFTER_S: Final = 15.0
LOST_AFTER: Final = 3
"""So many workers that end while they load a model, one after the other, and none of which ever
answered: the next one will not either."""
_ENDED: Final = (
    "workers, one after the other, have ended while they loaded the model; is there too little "
    "memory? See their logs"
)
CLEARED_FOR_S: Final = 1.0
"""For so long after a lane was cleared, `unusable` may be an old announcement."""


@dataclass
class Fleet:
    """The live workers. `clock` gives seconds, monotonic; `grace_s` is how long a lane may be
    without any before it is deserted."""

    clock: Callable[[], float] = time.monotonic
    grace_s: float = 15.0
    _seen: dict[str, tuple[float, WorkerAnnounced]] = field(default_factory=dict)
    _cleared: dict[str, float] = field(default_factory=dict)
    _lost: dict[str, set[str]] = field(default_factory=dict)
    """Lane → workers that fell silent before they were ready for it; since one was, or the lane
    was cleared."""
    _served: dict[tuple[str, str], float] = field(default_factory=dict)
    """(lane, digest) → when a worker last told of it; else since when it is wanted."""

    def want(self, spec: LaneSpec) -> bool:
        """The lane has work; True if that is new."""
        key = (spec.slug, spec.digest)
        new = key not in self._served
        self._served.setdefault(key, self.clock())
        return new

    def note(self, announced: WorkerAnnounced) -> bool:
        """Take an announcement; True if the worker is new."""
        if announced.stopping:
            self._seen.pop(announced.worker, None)
            return False
        for lane in announced.lanes:
            self._served[lane.slug, lane.digest] = self.clock()
            self._lost.get(lane.slug, set()).discard(announced.worker)
            if lane.health == "ready":
                self._lost.pop(lane.slug, None)
        new = announced.worker not in self._seen
        self._seen[announced.worker] = (self.clock(), announced)
        return new

    def clear(self, slug: str) -> None:
        """The lane is tried again: what was said of it before counts no more."""
        self._cleared[slug] = self.clock()
        self._lost.pop(slug, None)

    def workers(self) -> list[WorkerStatus]:
        """All live workers."""
        now = self.clock()
        return [
            WorkerStatus(
                worker=worker.worker,
                service=worker.service,
                version=worker.version,
                seen_s=round(now - seen, 3),
                lanes=tuple(
                    LaneStatus(**lane.model_dump(include=set(LaneStatus.model_fields)))
                    for lane in worker.lanes
                ),
            )
            for seen, worker in self._live()
        ]

    def serving(self, slug: str, digest: str) -> list[LaneServed]:
        """How each live worker stands with a lane."""
        lanes = (lane for _, worker in self._live() for lane in worker.lanes)
        return [lane for lane in lanes if lane.slug == slug and lane.digest == digest]

    def health(self, slug: str, digest: str) -> tuple[LaneHealth | None, str]:
        """The best health any worker reports of the lane, and its detail; None: no worker."""
        served = self.serving(slug, digest)
        for health in ("ready", "probing"):
            for lane in served:
                if lane.health == health:
                    return health, lane.detail
        if not served:
            return None, ""
        if self.clock() - self._cleared.get(slug, -CLEARED_FOR_S) < CLEARED_FOR_S:
            return "probing", ""
        return "unusable", served[0].detail

    def trouble(self, slug: str, digest: str) -> str:
        """Why nobody can serve the lane: all its workers say that they cannot, or one after the
        other is killed while it loads the model. Empty if somebody can, or may."""
        health, detail = self.health(slug, digest)
        if health == "unusable":
            return detail or "no reason given"
        lost = len(self._lost.get(slug, ()))
        return f"{lost} {_ENDED}" if lost >= LOST_AFTER else ""

    def deserted(self, slug: str, digest: str) -> bool:
        """Whether the lane is wanted, and nobody has served it for a while."""
        since = self._served.get((slug, digest))
        if since is None or self.serving(slug, digest):
            return False
        return self.clock() - since >= self.grace_s

    def slots(self, slug: str, digest: str) -> int:
        """Calls that all live workers of the lane can have in flight."""
        return sum(lane.slots for lane in self.serving(slug, digest))

    def _live(self) -> Iterator[tuple[float, WorkerAnnounced]]:
        now = self.clock()
        for name, (seen, worker) in list(self._seen.items()):
            if now - seen > FORGOTTEN_AFTER_S:
                del self._seen[name]
                for lane in worker.lanes:
                    if lane.health == "probing":
                        self._lost.setdefault(lane.slug, set()).add(name)
        return iter(self._seen.values())

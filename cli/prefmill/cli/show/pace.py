"""How fast a run goes, from one look at it to the next."""

from collections import defaultdict, deque

from prefmill.contracts.api import RunStatus, SlotStatus

WINDOW_S = 20.0
STEPS = 3
"""Counts grow by whole batches. So many steps, over two seconds at least, tell how fast; what came
before the first of them took a time of its own: workers began, a judge waited for answers."""
SPAN_S = 2.0

Key = tuple[str, str]
Step = tuple[float, int]
"""When a count was seen to have grown, and to what."""


class Pace:
    """Rates over the last seconds. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, dict[Key, int]]] = deque()
        self._steps: defaultdict[Key, deque[Step]] = defaultdict(deque)

    def add(self, now: float, status: RunStatus) -> None:
        """Take note of a look at the run."""
        counts = {_key(slot): closed(slot) for slot in status.slots}
        before = self._looks[-1][1] if self._looks else counts
        for key, count in counts.items():
            if count > before.get(key, 0):
                self._step(key, (now, count))
        self._looks.append((now, counts))
        while len(self._looks) > 2 and now - self._looks[0][0] > WINDOW_S:
            self._looks.popleft()

    def _step(self, key: Key, step: Step) -> None:
        steps = self._steps[key]
        steps.append(step)
        while len(steps) > STEPS and step[0] - steps[0][0] > WINDOW_S:
            steps.popleft()

    def rate(self, slot: SlotStatus) -> float | None:
        """Cells a second that the model or judge closes; None before there are two looks."""
        if len(self._looks) < 2:
            return None
        (since, first), (until, last) = self._looks[0], self._looks[-1]
        made = last.get(_key(slot), 0) - first.get(_key(slot), 0)
        return max(0, made) / (until - since) if until > since else None

    def left(self, slot: SlotStatus) -> float | None:
        """Seconds until all cells known by now are closed; None while that cannot be told."""
        remaining = max(0, slot.wanted - closed(slot))
        if remaining == 0:
            return 0.0
        steps = self._steps[_key(slot)]
        if len(steps) < STEPS:
            return None
        (since, first), (until, last) = steps[0], steps[-1]
        usual = (until - since) / (len(steps) - 1)
        span = max(until, self._looks[-1][0] - usual) - since  # a step that is overdue counts
        return remaining * span / (last - first) if span >= SPAN_S else None

    def left_in_all(self, status: RunStatus) -> float | None:
        """Seconds until the slowest is done; None while any one cannot be told."""
        lefts = [self.left(slot) for slot in called(status)]
        known = [left for left in lefts if left is not None]
        return max(known) if known and len(known) == len(lefts) and status.source_done else None


def called(status: RunStatus) -> list[SlotStatus]:
    """The models and judges that calls are made of."""
    return [slot for slot in status.slots if slot.kind != "given"]


def closed(slot: SlotStatus) -> int:
    """Cells with a result or a failure."""
    return slot.done + slot.failed


def _key(slot: SlotStatus) -> Key:
    return slot.kind, slot.alias

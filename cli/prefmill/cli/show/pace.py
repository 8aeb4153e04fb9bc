"""How fast a run goes, from one look at it to the next."""

from collections import deque

from prefmill.contracts.api import RunStatus, SlotStatus

WINDOW_S = 20.0

Key = tuple[str, str]


class Pace:
    """Rates over the last seconds. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, dict[Key, int]]] = deque()

    def add(self, now: float, status: RunStatus) -> None:
        """Take note of a look at the run."""
        self._looks.append((now, {_key(slot): closed(slot) for slot in status.slots}))
        while len(self._looks) > 2 and now - self._looks[0][0] > WINDOW_S:
            self._looks.popleft()

    def rate(self, slot: SlotStatus) -> float | None:
        """Cells a second that the model or judge closes; None before there are two looks."""
        if len(self._looks) < 2:
            return None
        (since, first), (until, last) = self._looks[0], self._looks[-1]
        made = last.get(_key(slot), 0) - first.get(_key(slot), 0)
        return max(0, made) / (until - since) if until > since else None

    def left(self, slot: SlotStatus) -> float | None:
        """Seconds until all cells known by now are closed, at this rate."""
        remaining = max(0, slot.wanted - closed(slot))
        rate = self.rate(slot)
        if remaining == 0:
            return 0.0
        return remaining / rate if rate else None

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

"""The same failure again and again: the lane's fault, not the rows'."""

import re
from dataclasses import dataclass
from typing import Final

from prefmill.contracts.reasons import REFUSED, TOO_LONG

LONGEST: Final = 20
"""So many in succession pause the lane."""

OF_THE_ROW: Final = frozenset({REFUSED, TOO_LONG})
"""What a text itself brings about: many in succession, as when only such rows are left to be tried
again, say nothing of the lane."""

_VARYING: Final = re.compile(r"\d+|'[^']*'|\"[^\"]*\"|[0-9a-f]{8,}|req_\w+")


@dataclass(slots=True)
class Streak:
    """Counts failures of one kind since the last success or failure of another kind."""

    count: int = 0
    last: str = ""
    """What was said of the last failure."""
    _kind: tuple[str, str] = ("", "")

    def add(self, reason: str, detail: str) -> bool:
        """Count a failure; whether the streak is now long enough to pause the lane."""
        if reason in OF_THE_ROW:
            return False
        self.last = detail
        kind = (reason, alike(detail))
        self.count = self.count + 1 if kind == self._kind else 1
        self._kind = kind
        return self.count >= LONGEST

    def end(self) -> None:
        """A call succeeded."""
        self.count = 0


def alike(detail: str) -> str:
    """The detail without what differs from row to row: numbers, quotations, request ids."""
    return _VARYING.sub("#", detail)[:160]

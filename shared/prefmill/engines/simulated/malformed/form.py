"""What one malformed form is: how it is written, and what may be read of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from prefmill.engines.simulated.verdicts import Verdict, write_verdicts

Write = Callable[[Sequence[Verdict]], str]

Outcome = Literal["recovered", "lost", "unspoken", "other"]
"""What a reader must make of the texts that a form touches: `recovered` their true ratings;
`lost` nothing, they cannot be read; `unspoken` no rating: not applicable where the aspect allows
it, unreadable where not; `other` the rating that is said, which is not the text's."""

Needs = Literal["nothing", "types", "several"]


@dataclass(frozen=True, slots=True)
class Malformed:
    """One form. It touches the first verdict given, or all; the rest must read as they are."""

    name: str
    outcome: Outcome
    touches: Literal["first", "all"]
    needs: Needs
    write: Write

    def applies(self, verdicts: Sequence[Verdict]) -> bool:
        """Whether the form can be told from a well-formed answer with these verdicts."""
        if self.needs == "types":
            return self.write(verdicts) != write_verdicts(verdicts)
        return bool(verdicts) and (self.needs == "nothing" or len(verdicts) > 1)

    def allowed(self, verdicts: Sequence[Verdict]) -> dict[int, frozenset[float | None]]:
        """Text number → the ratings that may be read of it; None is no rating."""
        touched = {verdicts[0].number} if self.touches == "first" else {v.number for v in verdicts}
        return {
            verdict.number: _allowed(self.outcome if verdict.number in touched else "", verdict)
            for verdict in verdicts
        }


def _allowed(outcome: str, verdict: Verdict) -> frozenset[float | None]:
    if outcome in ("lost", "unspoken"):
        return frozenset({None})
    if outcome == "other":
        return frozenset({verdict.rating - 0.5, None})
    return frozenset({float(verdict.rating)})


def malformed(
    outcome: Outcome,
    touches: Literal["first", "all"] = "all",
    needs: Needs = "nothing",
) -> Callable[[Write], Malformed]:
    """Makes a form of a function; its name is the function's."""

    def form(write: Write) -> Malformed:
        name = getattr(write, "__name__", "").replace("_", "-")
        return Malformed(name, outcome, touches, needs, write)

    return form

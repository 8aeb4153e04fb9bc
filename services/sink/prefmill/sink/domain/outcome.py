"""What became of all prompts, for each format config: prompts in = out + ties + dropped."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from prefmill.contracts.api import FormatOutcome
from prefmill.plugins.format import Written
from prefmill.sink.domain.splitting import Side

NOTHING: Final = FormatOutcome(prompts=0, out=0, ties=0, dropped={}, records=0)


@dataclass(slots=True)
class Tally:
    """Counts one config's prompts as they are written."""

    out: int = 0
    ties: int = 0
    records: int = 0
    test: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])

    def count(self, written: Written, side: Side = "train") -> None:
        """One prompt, on its side of the split. ValueError if its records and its outcome
        contradict each other."""
        if bool(written.records) != (written.outcome == "out"):
            raise ValueError(f"{len(written.records)} records with outcome {written.outcome!r}")
        self.records += len(written.records)
        self.test += len(written.records) if side == "test" else 0
        if written.outcome == "out":
            self.out += 1
        elif written.outcome == "tie":
            self.ties += 1
        else:
            self.dropped[written.reason] += 1

    def outcome(self) -> FormatOutcome:
        """The sum so far."""
        return FormatOutcome(
            prompts=self.out + self.ties + self.dropped.total(),
            out=self.out,
            ties=self.ties,
            dropped=dict(sorted(self.dropped.items())),
            records=self.records,
            test=self.test,
        )


def added(one: FormatOutcome, other: FormatOutcome) -> FormatOutcome:
    """Both together."""
    dropped = Counter(one.dropped) + Counter(other.dropped)
    return FormatOutcome(
        prompts=one.prompts + other.prompts,
        out=one.out + other.out,
        ties=one.ties + other.ties,
        dropped=dict(sorted(dropped.items())),
        records=one.records + other.records,
        test=one.test + other.test,
    )

"""Verdicts on single generations and on pairs become verdicts on the whole row.

A rubric that shows generations one by one has a verdict for each: together they are one. A pair is
judged in both orders: where the two agree, that is the verdict; where they do not, the judge went
by the place and not by the text, so it is a tie (Zheng et al. 2023, section 4.1). A pair of which
only one order could be read says nothing that could be told from a liking for a place.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from prefmill.contracts.reasons import MISSING_GENERATION, NOT_SHOWN, RATED
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import Verdict

TIE: Final = 0.5


class SettledPair(NamedTuple):
    """What one judge says of two generations, asked in both orders: `rating` of the first is 1
    where it won, 0 where it lost, 0.5 for a tie; the second has the rest. None: not known."""

    first: int
    second: int
    rating: float | None
    flipped: bool
    """Whether the two orders disagree."""

    def ratings(self, texts: int) -> tuple[float | None, ...]:
        """One rating per generation of the row: those of the pair, None for the others."""
        row: list[float | None] = [None] * texts
        if self.rating is not None:
            row[self.first], row[self.second] = self.rating, 1 - self.rating
        return tuple(row)


def by_sample(verdicts: Iterable[Verdict]) -> list[list[Verdict]]:
    """Verdicts that are parts of one: of one rubric, judge, aspect and sample, in their order."""
    groups: defaultdict[tuple[str, str, str, int], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        groups[verdict.rubric, verdict.judge, verdict.aspect, verdict.sample].append(verdict)
    return list(groups.values())


def settled(verdicts: Sequence[Verdict]) -> list[SettledPair]:
    """The pairs of one rubric, judge, aspect and sample."""
    wins: defaultdict[tuple[int, int], list[float | None]] = defaultdict(list)
    for verdict in verdicts:
        shown = shown_in(verdict)
        if len(shown) == 2:
            first, second = shown
            wins[first, second].append(_won(verdict.readings[first], verdict.readings[second]))
    return [_settled(pair, ratings) for pair, ratings in wins.items()]


def merged(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """One verdict for each rubric, judge, aspect and sample, about all generations of the row.
    Of pairs, a generation's rating is the share of its pairs that it won."""
    return [_merged(group) for group in by_sample(verdicts)]


def shown_in(verdict: Verdict) -> list[int]:
    """The generations that a verdict is about, also where it failed, in the row's order."""
    hidden = (NOT_SHOWN, MISSING_GENERATION)
    return [i for i, reading in enumerate(verdict.readings) if reading.status not in hidden]


def _won(first: Reading, second: Reading) -> float | None:
    if first.status != RATED or second.status != RATED:
        return None
    if first.rating is None or second.rating is None:
        return None
    difference = first.rating - second.rating
    return TIE if difference == 0 else float(difference > 0)


def _settled(pair: tuple[int, int], ratings: Sequence[float | None]) -> SettledPair:
    known = [rating for rating in ratings if rating is not None]
    if len(known) < 2:
        return SettledPair(*pair, None, flipped=False)
    flipped = known[0] != known[1]
    return SettledPair(*pair, TIE if flipped else known[0], flipped)


def _merged(group: Sequence[Verdict]) -> Verdict:
    first = group[0]
    if first.shows == "all":
        return first
    readings = _shares(group) if first.shows == "pairs" else _together(group)
    order = tuple(dict.fromkeys(index for verdict in group for index in verdict.order))
    answered = next((verdict.judge_model for verdict in group if verdict.judge_model), "")
    return first.replace(
        order=order, readings=readings, raw=None, judge_model=answered, shows="all"
    )


def _together(group: Sequence[Verdict]) -> tuple[Reading, ...]:
    readings = list(group[0].readings)
    for verdict in group[1:]:
        for index in shown_in(verdict):
            readings[index] = verdict.readings[index]
    return tuple(readings)


def _shares(group: Sequence[Verdict]) -> tuple[Reading, ...]:
    readings = list(_together(group))
    pairs = [pair.ratings(len(readings)) for pair in settled(group)]
    for index, column in enumerate(zip(*pairs, strict=True)):
        won = [rating for rating in column if rating is not None]
        if won:
            readings[index] = Reading(status=RATED, rating=sum(won) / len(won))
        elif readings[index].status == RATED:
            readings[index] = Reading(status=NOT_SHOWN)
    return tuple(readings)

"""What moves a judge besides the text: its position, its length, its family. From sums alone.

Everything is measured within a verdict, as the distance of a rating from the mean of the ratings
beside it, so that hard prompts and strict judges cancel out. Verdicts on single texts, or on pairs,
are put together first; only positions are those of each verdict alone.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from prefmill.contracts.rows import FinishedRow, Verdict
from prefmill.sink.domain.merging import merged

Sums = dict[str, float]
Parts = Mapping[str, dict[str, Sums]]

Apart = Mapping[int, tuple[float, float]]
"""Generation → its rating, and how far that lies above the mean of its verdict."""
Rated = tuple[Verdict, Apart]

PARTS: Final = ("position", "length", "family")

FAMILIES: Final = re.compile(
    r"gpt|claude|llama|gemma|gemini|mistral|mixtral|qwen|command|deepseek|phi|zephyr|notus|haiku"
)
"""Where a model's name holds one of them, that is its family; else its first letters."""
SAME: Final = {"mixtral": "mistral", "haiku": "claude"}


def count(parts: Parts, row: FinishedRow) -> None:
    """Add one row."""
    lengths = [len(given.text or "") for given in row.generations]
    beside: defaultdict[tuple[str, int], list[Rated]] = defaultdict(list)
    for verdict in row.verdicts:
        rated = _apart(verdict)
        if len(rated) > 1:
            _count_positions(parts["position"][verdict.judge], verdict, rated)
    for verdict in merged(row.verdicts):
        rated = _apart(verdict)
        beside[verdict.aspect, verdict.sample].append((verdict, rated))
        if len(rated) > 1:
            _count_lengths(parts["length"][verdict.judge], lengths, rated)
    families = [family_of(given.model_id or given.model) for given in row.generations]
    if len(set(families)) > 1:
        for verdicts in beside.values():
            _count_families(parts["family"], families, verdicts)


def position(sums: Sums) -> list[dict[str, float | None]]:
    """By shown position, from 1: texts rated there, their mean rating, and how far ratings there
    lie above those beside them."""
    shown = sorted({int(key.partition(" ")[2]) for key in sums})
    return [
        {
            "position": place + 1,
            "texts": sums[f"n {place}"],
            "mean_rating": _ratio(sums[f"rating {place}"], sums[f"n {place}"]),
            "above_others": _ratio(sums[f"apart {place}"], sums[f"n {place}"]),
        }
        for place in shown
    ]


def length(sums: Sums) -> float | None:
    """Pearson's r of rating and number of characters within verdicts: 0 is no bias that length
    could explain; longer texts may be better ones, too."""
    spread = sums.get("xx", 0.0) * sums.get("yy", 0.0)
    return sums["xy"] / math.sqrt(spread) if spread > 0 else None


def family(sums: Sums) -> dict[str, float | None]:
    """What a judge gives texts of its own family above those beside them; what the other judges
    give the same texts; and the difference, its self-preference."""
    own = _ratio(sums.get("own", 0.0), sums.get("own texts", 0.0))
    others = _ratio(sums.get("others", 0.0), sums.get("others texts", 0.0))
    return {
        "texts": sums.get("own texts", 0.0),
        "above_others": own,
        "as_other_judges_see_it": others,
        "self_preference": None if own is None or others is None else own - others,
    }


@lru_cache(maxsize=4096)
def family_of(model: str) -> str:
    """The family of a model by its id: `meta-llama/Meta-Llama-3-8B` and `llama3` are `llama`."""
    name = model.rsplit("/", 1)[-1].lower()
    known = FAMILIES.search(name)
    if known:
        return SAME.get(known[0], known[0])
    letters = re.match(r"[a-z]+", name)
    return letters[0] if letters else name


def _apart(verdict: Verdict) -> Apart:
    rated = {i: r.rating for i, r in enumerate(verdict.readings) if r.rating is not None}
    if not rated:
        return {}
    mean = math.fsum(rated.values()) / len(rated)
    return {place: (rating, rating - mean) for place, rating in rated.items()}


def _count_positions(sums: Sums, verdict: Verdict, rated: Apart) -> None:
    for place, generation in enumerate(verdict.order):
        if generation in rated:
            rating, apart = rated[generation]
            texts, total, above = _at(place)
            sums[texts] += 1
            sums[total] += rating
            sums[above] += apart


@lru_cache(maxsize=256)
def _at(place: int) -> tuple[str, str, str]:
    """The names of a shown position's sums."""
    return f"n {place}", f"rating {place}", f"apart {place}"


def _count_lengths(sums: Sums, lengths: Sequence[int], rated: Apart) -> None:
    mean = sum([lengths[place] for place in rated]) / len(rated)
    xx = yy = xy = 0.0
    for place, (_, apart) in rated.items():
        longer = lengths[place] - mean
        xx += longer * longer
        yy += apart * apart
        xy += longer * apart
    sums["n"] += len(rated)
    sums["xx"] += xx
    sums["yy"] += yy
    sums["xy"] += xy


def _count_families(
    judges: dict[str, Sums], families: Sequence[str], verdicts: Sequence[Rated]
) -> None:
    """Add the verdicts of one aspect and sample."""
    for verdict, rated in verdicts:
        own = family_of(verdict.judge_model or verdict.judge)
        places = [place for place in rated if families[place] == own]
        if not places or len(rated) < 2:
            continue
        sums = judges[verdict.judge]
        sums["own texts"] += len(places)
        sums["own"] += math.fsum([rated[place][1] for place in places])
        for other, theirs in verdicts:
            if other.judge != verdict.judge and _is_foreign(other, own):
                seen = [theirs[place][1] for place in places if place in theirs]
                sums["others texts"] += len(seen)
                sums["others"] += math.fsum(seen)


def _is_foreign(verdict: Verdict, family: str) -> bool:
    return family_of(verdict.judge_model or verdict.judge) != family


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None

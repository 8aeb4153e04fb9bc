"""What moves a judge besides the text: its position, its length, its family. From sums alone.

Everything is measured within a verdict, as the distance of a rating from the mean of the ratings
beside it, so that hard prompts and strict judges cancel out.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from prefmill.contracts.rows import FinishedRow, Verdict

Sums = dict[str, float]
Parts = Mapping[str, dict[str, Sums]]

PARTS: Final = ("position", "length", "family")

FAMILIES: Final = re.compile(
    r"gpt|claude|llama|gemma|gemini|mistral|mixtral|qwen|command|deepseek|phi|zephyr|notus|haiku"
)
"""Where a model's name holds one of them, that is its family; else its first letters."""
SAME: Final = {"mixtral": "mistral", "haiku": "claude"}


def count(parts: Parts, row: FinishedRow) -> None:
    """Add one row."""
    apart = {id(verdict): _apart(verdict) for verdict in row.verdicts}
    for verdict in row.verdicts:
        rated = apart[id(verdict)]
        if len(rated) > 1:
            _count_positions(parts["position"][verdict.judge], verdict, rated)
            _count_lengths(parts["length"][verdict.judge], row, rated)
    _count_families(parts["family"], row, [(v, apart[id(v)]) for v in row.verdicts])


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


def family_of(model: str) -> str:
    """The family of a model by its id: `meta-llama/Meta-Llama-3-8B` and `llama3` are `llama`."""
    name = model.rsplit("/", 1)[-1].lower()
    known = FAMILIES.search(name)
    if known:
        return SAME.get(known[0], known[0])
    letters = re.match(r"[a-z]+", name)
    return letters[0] if letters else name


def _apart(verdict: Verdict) -> dict[int, tuple[float, float]]:
    """Generation → its rating, and how far that lies above the mean of the verdict."""
    rated = {i: r.rating for i, r in enumerate(verdict.readings) if r.rating is not None}
    if not rated:
        return {}
    mean = math.fsum(rated.values()) / len(rated)
    return {place: (rating, rating - mean) for place, rating in rated.items()}


def _count_positions(
    sums: Sums, verdict: Verdict, rated: Mapping[int, tuple[float, float]]
) -> None:
    for place, generation in enumerate(verdict.order):
        if generation in rated:
            rating, apart = rated[generation]
            sums[f"n {place}"] += 1
            sums[f"rating {place}"] += rating
            sums[f"apart {place}"] += apart


def _count_lengths(sums: Sums, row: FinishedRow, rated: Mapping[int, tuple[float, float]]) -> None:
    lengths = {place: len(row.generations[place].text or "") for place in rated}
    mean = math.fsum(lengths.values()) / len(lengths)
    for place, (_, apart) in rated.items():
        longer = lengths[place] - mean
        sums["n"] += 1
        sums["xx"] += longer * longer
        sums["yy"] += apart * apart
        sums["xy"] += longer * apart


def _count_families(
    judges: dict[str, Sums],
    row: FinishedRow,
    verdicts: Sequence[tuple[Verdict, Mapping[int, tuple[float, float]]]],
) -> None:
    families = [family_of(given.model_id or given.model) for given in row.generations]
    if len(set(families)) < 2:
        return
    for verdict, rated in verdicts:
        own = family_of(verdict.judge_model or verdict.judge)
        places = [place for place in rated if families[place] == own]
        if not places or len(rated) < 2:
            continue
        sums = judges[verdict.judge]
        sums["own texts"] += len(places)
        sums["own"] += math.fsum(rated[place][1] for place in places)
        for other, theirs in verdicts:
            if _is_beside(verdict, other, own):
                seen = [theirs[place][1] for place in places if place in theirs]
                sums["others texts"] += len(seen)
                sums["others"] += math.fsum(seen)


def _is_beside(verdict: Verdict, other: Verdict, family: str) -> bool:
    """Whether another judge of another family rated the same aspect."""
    same = verdict.aspect == other.aspect and verdict.sample == other.sample
    foreign = family_of(other.judge_model or other.judge) != family
    return same and other.judge != verdict.judge and foreign


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None

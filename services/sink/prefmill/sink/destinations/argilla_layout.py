"""How rows look in Argilla: a record per prompt, and for every judge a question of its own about
each text and aspect, since a question holds one suggestion. Pure.

Argilla's ratings are whole numbers from 1 to 10: a scale that starts lower is shifted up.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from prefmill.contracts.reasons import RATED
from prefmill.sink.destinations.argilla_fields import Field, Row, name_of

Range = tuple[int, int]

LOWEST: Final = 1
HIGHEST: Final = 10
APART: Final = "disagreement"
USUAL: Final = "Read the prompt and the texts. Correct each rating that you do not share."
LONGEST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A rating that people are asked for: where a judge's own stands, and its ends. `attribute` is
    one of those that a verdict on the aspect rates at once."""

    aspect: str
    scale: Range
    attribute: str | None = None


@dataclass(frozen=True)
class Layout:
    """Which texts, and which ratings of them, a dataset shows. `judges`: alias → model id;
    `asked`: the name of a rating → what it is; `shown`: the texts."""

    texts: int
    judges: Mapping[str, str]
    asked: Mapping[str, Asked]
    shown: Sequence[Field]

    def fields(self) -> list[dict[str, Any]]:
        """What people see."""
        return [
            {
                "name": field.name,
                "title": field.title,
                "required": field.required,
                "settings": {"type": "text", "use_markdown": True},
            }
            for field in self.shown
        ]

    def questions(self) -> list[dict[str, Any]]:
        """One for each text, aspect and judge; the first must be answered, as Argilla wants."""
        keys = product(range(self.texts), self.asked, self.judges)
        return [
            {
                "name": question_of(*key),
                "title": f"Text {place + 1}: {aspect}, as {judge} rated it",
                "required": number == 0,
                "settings": {"type": "rating", "options": self._values(aspect)},
            }
            for number, (place, aspect, judge) in enumerate(keys)
            for key in [(place, aspect, judge)]
        ]

    def record(self, row: Row, ids: Mapping[str, str]) -> dict[str, Any]:
        """The row with its ratings as suggestions. `ids`: question → its id on the server."""
        texts = {field.name: field.text(row) for field in self.shown}
        return {
            "external_id": row["id"],
            "fields": {name: text for name, text in texts.items() if text is not None},
            "suggestions": self._suggestions(row, ids),
            "metadata": {
                "models": ", ".join(row["generation_models"][: self.texts]),
                APART: self.disagreement(row),
            },
        }

    def _suggestions(self, row: Row, ids: Mapping[str, str]) -> list[dict[str, Any]]:
        given = self.ratings(row)
        made: list[dict[str, Any]] = []
        for (place, aspect, judge), rating in given.items():
            scale = self.asked[aspect].scale
            if judge not in self.judges or place >= self.texts:
                continue
            if scale[0] <= rating <= scale[1]:
                beside = [r for (p, a, _), r in given.items() if (p, a) == (place, aspect)]
                made.append(
                    {
                        "question_id": ids[question_of(place, aspect, judge)],
                        "value": _whole(rating) + _shift(scale),
                        "agent": _agent(self.judges[judge]),
                        "score": _score(rating, beside, scale),
                    }
                )
        return made

    def _values(self, aspect: str) -> list[dict[str, int]]:
        low, high = self.asked[aspect].scale
        return [{"value": value + _shift((low, high))} for value in range(low, high + 1)]

    def ratings(self, row: Row) -> dict[tuple[int, str, str], float]:
        """Text, question and judge → rating, the mean where a judge gave several."""
        seen: dict[tuple[int, str, str], list[float]] = {}
        for verdict, (name, asked) in product(row["verdicts"], self.asked.items()):
            if verdict["aspect"] == asked.aspect:
                for place, rating in _given(verdict, asked.attribute).items():
                    seen.setdefault((place, name, verdict["judge"]), []).append(rating)
        return {key: math.fsum(ratings) / len(ratings) for key, ratings in seen.items()}

    def disagreement(self, row: Row) -> float:
        """The mean distance of the highest from the lowest rating of a text; 0 where no two judges
        rated the same."""
        by_text: dict[tuple[int, str], list[float]] = {}
        for (place, name, _), rating in self.ratings(row).items():
            by_text.setdefault((place, name), []).append(rating)
        spans = [max(ratings) - min(ratings) for ratings in by_text.values() if len(ratings) > 1]
        return round(math.fsum(spans) / len(spans), 4) if spans else 0.0


def asked_of(
    rubrics: Iterable[Mapping[str, Any]], given: Mapping[str, Range], only: Sequence[str]
) -> dict[str, Asked]:
    """Question → what it asks, for the rubrics as `run.json` has them. An attribute that bears the
    name of another question bears its aspect's as well."""
    made: dict[str, Asked] = {}
    for rubric in rubrics:
        for aspect, people in rubric["people"].items():
            if only and aspect not in only:
                continue
            several = len(people["ratings"]) > 1
            for rating in people["ratings"]:
                name = rating["name"] if several else aspect
                name = f"{aspect}-{name}" if name in made else name
                scale = given.get(name, given.get(aspect, (rating["low"], rating["high"])))
                made[name] = Asked(aspect, scale, rating["name"] if several else None)
    return made


def guidelines_of(rubrics: Iterable[Mapping[str, Any]]) -> str:
    """What annotators are told where a recipe says nothing: what the rubrics say."""
    told = [people["guidelines"] for rubric in rubrics for people in rubric["people"].values()]
    return "\n\n".join([USUAL, *filter(None, told)])[:LONGEST]


def _given(verdict: Mapping[str, Any], attribute: str | None) -> dict[int, float]:
    """Text → rating, in one verdict."""
    if attribute is None:
        pairs = zip(verdict["ratings"], verdict["statuses"], strict=True)
        return {n: r for n, (r, status) in enumerate(pairs) if r is not None and status == RATED}
    attributes: Sequence[Sequence[Mapping[str, Any]] | None] | None = verdict["attributes"]
    if attributes is None:
        return {}
    return {
        place: each["rating"]
        for place, rated in enumerate(attributes)
        if rated is not None
        for each in rated
        if each["name"] == attribute
    }


def question_of(place: int, aspect: str, judge: str) -> str:
    """A question's name."""
    return name_of(f"{aspect}-{place + 1}-{judge}")


def _shift(scale: Range) -> int:
    return max(0, LOWEST - scale[0])


def _whole(rating: float) -> int:
    return math.floor(rating + 0.5)


def _agent(model: str) -> str:
    return re.sub(r"[^a-zA-Z0-9-_:./\s]+", "-", model)[:200]


def _score(rating: float, beside: Sequence[float], scale: Range) -> float | None:
    """How near a rating lies to the mean of all judges: 1 is on it, 0 a whole scale away."""
    if len(beside) < 2:
        return None
    mean = math.fsum(beside) / len(beside)
    return round(max(0.0, 1 - abs(rating - mean) / (scale[1] - scale[0])), 4)

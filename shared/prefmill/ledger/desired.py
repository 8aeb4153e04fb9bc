"""What a revision wants of a row, by the ledger's keys: shared by planner and exports. Pure."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import permutations
from typing import Any, NamedTuple, cast

from pydantic import Field, model_validator

from prefmill.contracts.base import Frozen
from prefmill.contracts.work import Shows
from prefmill.ledger.row_states import CellKey
from prefmill.plugins.annotation import Annotation
from prefmill.plugins.principles import Principles
from prefmill.plugins.rubric import usual_annotation

Generation = tuple[int, int]
"""Slot and sample."""

Shown = tuple[int, ...]
"""Indices into the usable generations of a row; of a pair in the order shown."""


class DesiredRubric(Frozen):
    """One rubric of a revision, with the slots of its judges."""

    label: str = Field(description="Its name within the recipe.")
    shows: Shows = Field(default="all", description="What one verdict shows.")
    hash: str = Field(default="", description="Of its templates and scales, hex.")
    aspects: dict[str, str] = Field(description="What is judged → its fingerprint, hex.")
    names: dict[str, str] = Field(
        default={}, description="Aspect → its name in the run, where another rubric has it too."
    )
    people: dict[str, Annotation] = Field(
        default={}, description="Aspect → how people check it; 1 to 5 where none is stored."
    )
    judges: dict[str, int] = Field(description="Alias of the judge → slot.")
    least: int = Field(default=2, description="Usable generations it needs.")

    def annotation_of(self, aspect: str) -> Annotation:
        """How people check an aspect."""
        return self.people.get(aspect) or usual_annotation(aspect, self.shows)

    def name_of(self, aspect: str) -> str:
        """The aspect's name within the run."""
        return self.names.get(aspect, aspect)


class WantedVerdict(NamedTuple):
    """A verdict cell with what it shows."""

    rubric: DesiredRubric
    judge: str
    key: CellKey
    shown: Shown


class Desired(Frozen):
    """Stored with the revision. Aliases map to slots."""

    models: dict[str, int] = Field(description="Models that can answer.")
    samples: dict[str, int] = Field(default={}, description="Answers of a model, where not one.")
    rubrics: tuple[DesiredRubric, ...] = Field(default=(), description="How answers are judged.")
    judge_samples: dict[str, int] = Field(
        default={}, description="Verdicts of a judge on the same, where not one."
    )
    principles: Principles | None = Field(
        default=None, description="What answers are told to live up to, with every wording."
    )
    rows: int | None = Field(default=None, description="Rows from here on are not wanted.")

    @model_validator(mode="before")
    @classmethod
    def _of_one_rubric(cls, stored: Any) -> Any:
        """As it was stored when a run had one rubric: the same cells, by the same keys."""
        if not isinstance(stored, dict) or not isinstance(stored.get("judges"), dict):  # pyright: ignore[reportUnknownMemberType]
            return cast("object", stored)
        old = cast("dict[str, Any]", stored)
        rubric = DesiredRubric(
            label=old.get("rubric", ""),
            hash=old.get("rubric_hash", ""),
            aspects=dict.fromkeys(old.get("aspects", ()), ""),
            judges=old["judges"],
            least=old.get("least_generations", 2),
        )
        return {**old, "rubrics": (rubric,) if rubric.judges else ()}

    @property
    def judges(self) -> tuple[str, ...]:
        """Aliases of the judges, in the recipe's order."""
        return tuple(dict.fromkeys(alias for rubric in self.rubrics for alias in rubric.judges))

    @property
    def aspects(self) -> tuple[str, ...]:
        """What is judged, by the names that are unique in the run, the first rubric's first."""
        return tuple(r.name_of(aspect) for r in self.rubrics for aspect in r.aspects)

    def generations(
        self, drawn: Sequence[str], given: Mapping[str, int] | None
    ) -> list[tuple[str, Generation]]:
        """Alias and cell of a row's generations in draw order, or with `given` (slots by name)
        of the responses that came with it. Models that the recipe no longer names are left out."""
        slots = self.models if given is None else given
        if given is not None or not self.samples:
            return [(alias, (slots[alias], 0)) for alias in drawn if alias in slots]
        return [
            (alias, (slots[alias], sample))
            for alias in drawn
            if alias in slots
            for sample in range(self.samples.get(alias, 1))
        ]

    def verdicts(self, usable: Sequence[tuple[Generation, bytes]]) -> Iterator[WantedVerdict]:
        """All verdicts wanted on the usable generations, each with the SHA-256 of its text; none
        of a rubric for which they are too few."""
        for rubric in self.rubrics:
            if len(usable) < rubric.least:
                continue
            sets = subsets(rubric.shows, len(usable))
            targets = _targets(rubric, usable, sets)
            for alias, slot in rubric.judges.items():
                samples = self.judge_samples.get(alias, 1)
                for aspect, target, shown in targets:
                    for sample in range(samples):
                        key = CellKey(slot, aspect, sample, target)
                        yield WantedVerdict(rubric, alias, key, shown)


@cache
def subsets(shows: Shows, texts: int) -> tuple[Shown, ...]:
    """What the verdicts of a rubric are about, given so many usable generations: all of them,
    each, or every ordered pair."""
    if shows == "all":
        return (tuple(range(texts)),)
    return tuple(permutations(range(texts), 1 if shows == "each" else 2))


def target_of(shown: Sequence[tuple[Generation, bytes]], fingerprint: str = "") -> bytes:
    """16 bytes for an ordered set of generations, asked about in one way."""
    texts = b"".join([b"%d,%d,%b" % (*generation, sha) for generation, sha in shown])
    return hashlib.sha256(texts + fingerprint.encode()).digest()[:16]


def answer_key(generation: Generation) -> CellKey:
    """The cell of an answer, as failures and attempts are keyed."""
    slot, sample = generation
    return CellKey(slot, "", sample, b"")


def _targets(
    rubric: DesiredRubric, usable: Sequence[tuple[Generation, bytes]], sets: Sequence[Shown]
) -> list[tuple[str, bytes, Shown]]:
    """Aspect, target and what is shown, for each verdict of one judge and sample."""
    return [
        (aspect, target_of([usable[index] for index in shown], fingerprint), shown)
        for aspect, fingerprint in rubric.aspects.items()
        for shown in sets
    ]

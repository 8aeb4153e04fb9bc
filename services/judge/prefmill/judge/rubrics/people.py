"""What people see and are asked who check a judge: what the judge is shown, and the ratings that a
reader reads, on their scales."""

from prefmill.judge.rubrics.attributes import Attributes
from prefmill.judge.rubrics.choices import PairLayout
from prefmill.judge.rubrics.reading import Layout, Reader
from prefmill.judge.rubrics.scales import Scale
from prefmill.plugins.annotation import (
    GENERATIONS,
    INSTRUCTION,
    REFERENCE,
    Annotation,
    RatingField,
    ShownField,
)

People = tuple[ShownField, ...]


def seen(
    told: bool,
    instruction: ShownField = INSTRUCTION,
    generations: ShownField = GENERATIONS,
    *words: ShownField,
) -> People:
    """The instruction, the reference if judges are told it, words of the rubric, the texts."""
    return (instruction, *((REFERENCE,) if told else ()), *words, generations)


def annotation_by(aspect: str, reader: Reader, fields: People, told: str = "") -> Annotation:
    """Of an aspect whose answers are read so; `told` is what the judge is told of it."""
    ratings = ratings_of(aspect, reader)
    ends = {f"{each.low} to {each.high}" for each in ratings}
    named = [f"{rating}: {name}" for each in ratings[:1] for name, rating in each.names.items()]
    scale = ", ".join(named or sorted(ends))
    said = " ".join(part for part in (told.strip(), f"({scale})" if scale else "") if part)
    guidelines = f"{aspect}: {said}" if ratings else ""
    return Annotation(guidelines=guidelines, fields=fields, ratings=ratings)


def ratings_of(aspect: str, reader: Reader) -> tuple[RatingField, ...]:
    """What can be asked of people: one rating, one for each attribute, none of a comparison."""
    match reader:
        case Attributes():
            return tuple(_rating(name, reader.scale) for name in reader.names)
        case Layout(scale=Scale() as scale) if not isinstance(reader, PairLayout):
            return (_rating(aspect, scale),)
        case _:
            return ()


def _rating(name: str, scale: Scale) -> RatingField:
    first: dict[float, str] = {}
    for called, rating in scale.names:
        first.setdefault(rating, called)
    names = {called: round(rating) for rating, called in sorted(first.items())}
    return RatingField(name=name, low=round(scale.low), high=round(scale.high), names=names)

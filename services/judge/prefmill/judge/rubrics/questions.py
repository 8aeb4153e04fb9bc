"""What templates are given about a row, and whether they make a question of it."""

from functools import lru_cache
from typing import Any, Final

from prefmill.contracts.chat import Message
from prefmill.contracts.work import JudgeRow, Reference
from prefmill.judge.rubrics.aspects import ASPECTS, Aspect
from prefmill.judge.rubrics.fencing import defused, defused_section
from prefmill.judge.rubrics.templates import Prompt
from prefmill.plugins.errors import RecipeError


def values_of(aspect: Aspect, row: JudgeRow, order: tuple[int, ...], told: bool) -> dict[str, Any]:
    """The variables of a template, plain values only. All text of others is defused.

    `reference` is None where this aspect's judge is told none, {} where the row has none.
    """
    return {
        "aspect": aspect.name,
        "types": aspect.layout.types,
        **values_in(row, order, told),
    }


def values_in(row: JudgeRow, order: tuple[int, ...], told: bool) -> dict[str, Any]:
    """What a row gives to a template, whatever the aspect."""
    texts = row.generations
    return {
        "instruction": defused_section(row.instruction),
        "generations": [defused(texts[i]) for i in order],
        "no_texts": len(order),
        "history": [
            {"role": turn.role, "content": defused_section(turn.content)} for turn in row.history
        ],
        "reference": _reference(row.reference) if told else None,
    }


def _reference(reference: Reference | None) -> dict[str, Any]:
    if reference is None or not (reference.correct or reference.incorrect or reference.note):
        return {}
    return {
        "correct": [defused_section(answer) for answer in reference.correct],
        "incorrect": [defused_section(answer) for answer in reference.incorrect],
        "note": None if reference.note is None else defused_section(reference.note),
    }


_TEXTS: Final = ("prefmill sample one", "prefmill sample two", "prefmill sample three")
_BARE: Final = JudgeRow(row=0, instruction="prefmill instruction", generations=_TEXTS, cells=())
_FULL: Final = _BARE.replace(
    history=(Message(role="system", content="Be brief."),),
    reference=Reference(correct=("Yes.",), incorrect=("No.",), note="A note."),
)
_TRIALS: Final = ((_BARE, (0,), False), (_BARE, (0, 1), True), (_FULL, (2, 0, 1), True))


def check(aspect: Aspect, system: tuple[str, str], user: tuple[str, str]) -> None:
    """Renders both templates, given as (source, place), for a few rows. RecipeError names the
    place of one that fails, or that does not show every text to be judged."""
    for source, place in (system, user):
        _try(aspect.name, source, place, source is user[0])


@lru_cache(maxsize=256)
def _try(aspect: str, source: str, place: str, shows_texts: bool) -> None:
    prompt = Prompt(source, place)
    for row, order, told in _TRIALS:
        shown = prompt.render(values_of(ASPECTS[aspect], row, order, told))
        if shows_texts and not all(row.generations[i] in shown for i in order):
            raise RecipeError(f"{place}: does not show every text; loop over `generations`")

"""Rows to score, pair and write. Session-wide factories, so that Hypothesis may use them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from prefmill.contracts.chat import Failure, Message
from prefmill.contracts.reasons import MISSING_GENERATION, NOT_APPLICABLE, RATED, UNREADABLE
from prefmill.contracts.recipe import Pairing
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import FinishedRow, Generation, Prompt, Verdict
from prefmill.plugins.format import FormatContext, ScoredRow
from prefmill.plugins.registry import named_options
from prefmill.sink.domain.pooling import score_row

JUDGES = ("strict", "kind")
ASPECTS = ("honesty", "truthfulness")


def reading(rating: float | str | None) -> Reading:
    """A number, `n/a`, `?` for one that could not be read, None for a missing generation."""
    if rating is None:
        return Reading(status=MISSING_GENERATION)
    if isinstance(rating, str):
        return Reading(status=NOT_APPLICABLE if rating == "n/a" else UNREADABLE)
    return Reading(rating=rating, status=RATED, rationale=f"It is a {rating:g}.")


def verdict(judge: str, aspect: str, ratings: Sequence[float | str | None]) -> Verdict:
    readings = tuple(map(reading, ratings))
    if aspect == "truthfulness":
        readings = tuple(
            given.replace(types=("1", "3"), rationale_for_rating="Two errors.")
            if given.status == RATED
            else given
            for given in readings
        )
    return Verdict(
        judge=judge,
        judge_model=f"org/{judge}-judge",
        rubric="ultrafeedback",
        aspect=aspect,
        order=tuple(reversed(range(len(ratings)))),
        readings=readings,
        raw="#### Output for Text 1",
    )


def failed(judge: str, aspect: str) -> Verdict:
    return Verdict(judge=judge, rubric="ultrafeedback", aspect=aspect, readings=())


def row(
    position: int, texts: Sequence[str | None], verdicts: Sequence[Verdict], **prompt: Any
) -> FinishedRow:
    messages = prompt.pop("messages", None) or [("user", f"Question {position}?")]
    generations = [
        Generation(
            model=f"model-{index}",
            model_id=f"org/model-{index}" if text is not None else "",
            text=text,
            failure=None if text is not None else Failure(reason="refused"),
        )
        for index, text in enumerate(texts)
    ]
    return FinishedRow(
        position=position,
        prompt=Prompt(
            id=f"row-{position}",
            messages=tuple(Message(role=role, content=content) for role, content in messages),
            **prompt,
        ),
        generations=tuple(generations),
        verdicts=tuple(verdicts),
    )


def jury(honesty: Sequence[Any], truthfulness: Sequence[Any]) -> list[Verdict]:
    """Both judges agree on both aspects."""
    return [
        verdict(judge, aspect, ratings)
        for judge in JUDGES
        for aspect, ratings in (("honesty", honesty), ("truthfulness", truthfulness))
    ]


def all_kinds() -> list[FinishedRow]:
    """One row of each kind that the formats must tell apart."""
    system = [("system", "Be brief."), ("user", "What is a tie?")]
    turns = [("user", "Hello."), ("assistant", "Good day."), ("user", "And what is a margin?")]
    source = {"chosen": "of the source", "id": 7, "größe": [1, None]}
    return [
        row(
            0, ["A bad one.", "A good one."], jury([2, 5], [1, 4]), messages=system, metadata=source
        ),
        row(1, ["One.", "Another."], jury([3, 3], [3, 3])),
        row(2, ["Best.", None, "Worst."], jury([5, None, "n/a"], [4, None, 2]), messages=turns),
        row(
            3,
            ["Fair.", "Poor."],
            [
                verdict("strict", "honesty", [4, "?"]),
                verdict("strict", "truthfulness", [4, 2]),
                failed("kind", "honesty"),
                verdict("kind", "truthfulness", [5, 1]),
            ],
        ),
        row(4, ["Alone.", None], jury([4, None], [5, None])),
        row(
            5,
            ["Left.", "Right."],
            [failed(judge, aspect) for judge in JUDGES for aspect in ASPECTS],
        ),
        row(6, [None, None], []),
        row(7, ["Early.", "Late."], []).replace(open_cells=4),
        row(8, [], [], failure=Failure(reason="not-text", detail="a list")),
        row(9, ["Same.", " Same.\n"], jury([1, 5], [1, 5])),
    ]


def plugin(group: str, name: str, *parts: Any, **options: Any) -> Any:
    made, checked = named_options(group, {name: None, **options}, group)
    return made(checked, *parts)


def context(
    judges: tuple[str, ...] = JUDGES, aspects: tuple[str, ...] = ASPECTS, **pairing: Any
) -> FormatContext:
    return FormatContext(judges, aspects, Pairing(**pairing), seed=1)


def scored(rows: Sequence[FinishedRow], of: FormatContext, pool: str = "mean") -> list[ScoredRow]:
    pooled = plugin("pools", pool)
    return [score_row(given, pooled, pooled, 1, of.aspects, of.judges) for given in rows]


class Making:
    """The factories above, for tests to use."""

    row = staticmethod(row)
    verdict = staticmethod(verdict)
    failed = staticmethod(failed)
    jury = staticmethod(jury)
    all_kinds = staticmethod(all_kinds)
    plugin = staticmethod(plugin)
    context = staticmethod(context)
    scored = staticmethod(scored)


@pytest.fixture(scope="session")
def making() -> Making:
    return Making()


@pytest.fixture(scope="session")
def pool() -> Callable[..., Any]:
    return lambda name, raters=(), **options: plugin("pools", name, raters, **options)

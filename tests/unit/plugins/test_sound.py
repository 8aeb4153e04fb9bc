"""What a source and a rubric of somebody's own give is looked at where it comes in."""

from collections.abc import Iterator
from typing import Any

import pytest

from prefmill.contracts.chat import Message
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import Prompt
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.rubric import RubricFailed, readings_of
from prefmill.plugins.source import sound


class Careless:
    """Yields what it is told."""

    def __init__(self, *prompts: Any) -> None:
        self._prompts = prompts

    def read(self, skip: int = 0) -> Iterator[Prompt]:
        for prompt in self._prompts[skip:]:
            if isinstance(prompt, Exception):
                raise prompt
            yield prompt


def prompts_of(*prompts: Any, skip: int = 0) -> list[Prompt]:
    source: Any = Careless(*prompts)
    return list(sound(source, skip))


def said(content: Any, role: Any = "user") -> Prompt:
    return Prompt(id="a", messages=(Message(role=role, content=content),))


@pytest.mark.parametrize(
    ("odd", "reason", "detail"),
    [
        (None, "bad-row", "the source yields a NoneType, no Prompt"),
        ({"id": "x"}, "bad-row", "the source yields a dict, no Prompt"),
        (said(7), "bad-row", "Expected `str`, got `int` - at `$.messages[0].content`"),
        (said("hi", "robot"), "bad-row", "Invalid enum value 'robot' - at `$.messages[0].role`"),
        (said("hi", "assistant"), "bad-row", "its messages do not end with the user's turn"),
        (Prompt(id="a"), "bad-row", "its messages do not end with the user's turn"),
        (said(" \n"), "missing-instruction", "the user's turn is empty, or only white space"),
    ],
)
def test_what_is_no_prompt_is_a_failed_row_that_says_why(
    odd: Any, reason: str, detail: str
) -> None:
    good = said("What is it?")
    first, failed, last = prompts_of(good, odd, good)
    assert first == last == good
    assert failed.failure
    assert (failed.failure.reason, failed.failure.detail) == (reason, detail)


def test_a_row_that_is_no_prompt_is_named_by_its_position() -> None:
    assert [prompt.id for prompt in prompts_of(None, None, None, skip=1)] == ["1", "2"]


def test_messages_given_as_mappings_become_messages() -> None:
    turn: Any = {"role": "user", "content": "What is it?"}
    (made,) = prompts_of(Prompt(id="a", messages=(turn,)))
    assert made == said("What is it?")


def test_a_lone_surrogate_is_a_failed_row() -> None:
    (failed,) = prompts_of(said("\ud800"))
    assert failed.failure
    assert "surrogates not allowed" in failed.failure.detail


def test_a_source_that_breaks_says_so_in_one_line() -> None:
    with pytest.raises(RecipeError, match=r"source: it broke at row 0 or after it: .*boom"):
        prompts_of(said("hi"), RuntimeError("boom"))


class Rubric:
    """Reads what it is told."""

    file = (__file__, "")

    def __init__(self, given: Any) -> None:
        self._given = given

    def read(self, _aspect: str, _answer: str, _texts: int) -> Any:
        if isinstance(self._given, BaseException):
            raise self._given
        return self._given


def readings(given: Any) -> tuple[Reading, ...]:
    rubric: Any = Rubric(given)
    return readings_of(rubric, "honesty", "an answer", 2)


def rated(rating: Any) -> Reading:
    return Reading(status="rated", rating=rating)


def test_readings_go_through_as_they_are() -> None:
    given = [rated(4), rated(2.5)]
    assert readings(given) == tuple(given)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (ZeroDivisionError("division"), r"test_sound\.py:\d+: ZeroDivisionError: division"),
        (SystemExit(3), "SystemExit: 3"),
        ([rated(4)], "ValueError: 1 readings of 2 texts"),
        ([rated("4"), rated(2)], r"Expected `float \| null`, got `str` - at `\$\.rating`"),
        ([4, 2], "AttributeError: 'int' object has no attribute 'json'"),
        (7, "TypeError: 'int' object is not iterable"),
    ],
)
def test_a_rubric_that_breaks_says_how_and_where(given: Any, why: str) -> None:
    with pytest.raises(RubricFailed, match=f"the rubric cannot read the answer: .*{why}"):
        readings(given)

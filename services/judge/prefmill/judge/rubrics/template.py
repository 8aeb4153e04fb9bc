"""A user's own rubric, from a YAML file alone: prompts, scale, and how answers are read."""

import re
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from pydantic import Field, field_validator, model_validator

from prefmill.contracts.base import Strict
from prefmill.contracts.work import Shows
from prefmill.judge.rubrics.choices import Choice, PairLayout
from prefmill.judge.rubrics.grammar import Grammar
from prefmill.judge.rubrics.matched import Matched
from prefmill.judge.rubrics.prompted import Part, Prompted, check
from prefmill.judge.rubrics.reading import Blocks, Extract, Layout, Reader
from prefmill.judge.rubrics.tagged import TaggedTexts
from prefmill.judge.rubrics.template_file import FieldNames, TemplateFile, checked, read_file
from prefmill.judge.rubrics.templates import TemplatePair
from prefmill.plugins.errors import RecipeError


class TemplateOptions(Strict):
    """What a recipe may say of the rubric. A dump holds the file's content, no path."""

    template: TemplateFile = Field(description="A YAML file with the rubric, or its content.")

    @field_validator("template", mode="before")
    @classmethod
    def _inline(cls, value: object) -> object:
        """A file becomes what it holds, checked under its own name."""
        if isinstance(value, (str, Path)):
            rubric = read_file(Path(value))
            _check(rubric, f"{value}: ")
            return rubric
        if isinstance(value, dict):
            return checked(cast("dict[str, Any]", value), "template", {})
        return value

    @model_validator(mode="after")
    def _usable(self) -> Self:
        _check(self.template, "template: ")
        return self


def _check(rubric: TemplateFile, place: str) -> None:
    for part in parts_of(rubric, place):
        check(part, rubric.shows)


def parts_of(rubric: TemplateFile, place: str = "template: ") -> tuple[Part, ...]:
    """A part for each aspect; `description` is what the file says of it."""
    reader, mark = _reader(rubric), _mark(rubric)
    pair = TemplatePair(system=rubric.system, user=rubric.user)
    scale = rubric.scale.model_dump(mode="json") if rubric.scale else {}
    return tuple(
        Part(
            name,
            pair,
            reader,
            rubric.reference,
            {"description": description, "scale": scale},
            mark,
            place,
            reads=[rubric.output, rubric.pattern, rubric.fields.model_dump()],
            people=rubric.people,
        )
        for name, description in rubric.aspects.items()
    )


def _reader(rubric: TemplateFile) -> Reader:
    names = rubric.fields
    alone = () if rubric.shows == "all" else (names.rationale.lower(), names.rating.lower())
    extract = _extract(rubric, names)
    if rubric.shows == "pairs":
        return PairLayout(Choice(), extract, alone=alone)
    if rubric.scale is None:
        raise RecipeError("scale: missing")
    return Layout(rubric.scale.scale(), extract, alone=alone)


def _extract(rubric: TemplateFile, names: FieldNames) -> Extract:
    """How an answer that is no JSON is taken apart; blocks also read one that should be."""
    if rubric.pattern is not None:
        return Matched(rubric.pattern)
    if rubric.output == "tags":
        return TaggedTexts(names.rating, names.rationale)
    words = {
        "rating": tuple(dict.fromkeys((_word(names.rating), "rating", "score"))),
        "rationale": tuple(dict.fromkeys((_word(names.rationale), "rationale", "reason"))),
    }
    return Blocks(Grammar(words))


def _word(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")


def _mark(rubric: TemplateFile) -> re.Pattern[str] | None:
    """Tags that no text of others may hold. What a pattern matches cannot be known."""
    if rubric.output != "tags":
        return None
    names = "|".join(map(re.escape, (rubric.fields.rating, rubric.fields.rationale)))
    return re.compile(rf"<\s*/?\s*(?:{names})(?:_\d+)?\s*>", re.IGNORECASE)


class Template(Prompted):
    """What the file says."""

    Options: ClassVar[type[Strict]] = TemplateOptions

    def __init__(self, options: Strict) -> None:
        """RecipeError for a template that cannot be used."""
        assert isinstance(options, TemplateOptions)
        self.shows: Shows = options.template.shows
        self.tokens_per_text: int = options.template.tokens
        self._make(*parts_of(options.template))

"""The UltraFeedback rubric: one call per aspect shows all texts of a row (arXiv 2310.01377)."""

from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Message
from prefmill.contracts.results import Reading
from prefmill.contracts.work import JudgeRow
from prefmill.judge.rubrics.aspects import ASPECTS, PAPER, Aspect, aspect_named
from prefmill.judge.rubrics.people import annotation_by, seen
from prefmill.judge.rubrics.questions import check, values_of
from prefmill.judge.rubrics.templates import Prompt, TemplatePair, read_folder, source_of
from prefmill.plugins.annotation import Annotation
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest
from prefmill.plugins.rubric import Question

BUILT_IN: Final = Path(__file__).parent / "prompts" / "ultrafeedback"
MAX_TEMPLATE_CHARS: Final = 64_000
"""Of all templates together: they travel with every batch, which holds 256 KB."""

_QUESTION: Final = 1
"""Raise it when code, not a template, changes what a judge is shown: stored verdicts differ."""


def _known(aspect: object) -> object:
    return aspect_named(aspect).name if isinstance(aspect, str) else aspect


def _once(aspects: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({aspect for aspect in aspects if aspects.count(aspect) > 1})
    if twice:
        raise RecipeError(f"{', '.join(twice)}: name each aspect once")
    return aspects


def _listed(aspects: object) -> object:
    return (aspects,) if isinstance(aspects, str) else aspects


AspectName = Annotated[str, BeforeValidator(_known)]
AspectNames = Annotated[tuple[AspectName, ...], BeforeValidator(_listed), AfterValidator(_once)]


class UltraFeedbackOptions(Strict):
    """What a recipe may say of the rubric. A dump holds the templates themselves, no path."""

    ultrafeedback: AspectNames = Field(
        default=PAPER, min_length=1, description="Aspects to judge, one call each."
    )
    templates: dict[AspectName, TemplatePair] | None = Field(
        default=None,
        description="Your own prompts: a folder of Jinja templates, or aspect → system and user.",
    )
    reference_in: AspectNames = Field(
        default=("truthfulness",), description="Aspects whose judge is told the reference."
    )

    @field_validator("templates", mode="before")
    @classmethod
    def _inline(cls, value: object, info: ValidationInfo) -> object:
        """A folder becomes what it holds, checked under the names of its files."""
        if not isinstance(value, (str, Path)):
            return value
        folder = Path(value)
        files = read_folder(folder, ASPECTS)
        pairs = {aspect: tuple(map(source_of, pair)) for aspect, pair in files.items()}
        for aspect in info.data.get("ultrafeedback", ()):
            if aspect not in files:
                raise RecipeError(
                    f"{folder.absolute()} has no {aspect}.system.jinja2 and {aspect}.user.jinja2 "
                    "(both must be there; an empty system template sends no system prompt)"
                )
            (system, user), places = pairs[aspect], files[aspect]
            check(ASPECTS[aspect], (system, str(places[0])), (user, str(places[1])))
        return {
            aspect: {"system": system, "user": user} for aspect, (system, user) in pairs.items()
        }

    @model_validator(mode="after")
    def _usable(self) -> Self:
        templates = self.templates
        if templates is None:
            return self
        chars = sum(len(pair.system) + len(pair.user) for pair in templates.values())
        if chars > MAX_TEMPLATE_CHARS:
            raise RecipeError(f"templates: {chars} characters, at most {MAX_TEMPLATE_CHARS}")
        for aspect in self.ultrafeedback:
            if aspect not in templates:
                raise RecipeError(f"templates: none for the aspect {aspect!r}")
            pair, place = templates[aspect], f"templates.{aspect}"
            check(ASPECTS[aspect], (pair.system, f"{place}.system"), (pair.user, f"{place}.user"))
        return self


@cache
def _built_in() -> dict[str, TemplatePair]:
    return {
        aspect: TemplatePair(system=source_of(system), user=source_of(user))
        for aspect, (system, user) in read_folder(BUILT_IN, ASPECTS).items()
    }


class _Asked:
    """One aspect with its prompts, compiled. A system prompt without variables is made once."""

    def __init__(self, aspect: Aspect, pair: TemplatePair, told: bool) -> None:
        self._aspect, self._told = aspect, told
        self._system = Prompt(pair.system, f"templates.{aspect.name}.system")
        self._user = Prompt(pair.user, f"templates.{aspect.name}.user")
        fixed = self._system.fixed
        self._fixed = None if fixed is None else _turn(fixed)

    def question(self, row: JudgeRow, order: tuple[int, ...]) -> Question:
        values = values_of(self._aspect, row, order, self._told)
        system = _turn(self._system.render(values)) if self._fixed is None else self._fixed
        user = Message(role="user", content=self._user.render(values))
        return Question((*system, user), self._aspect.layout.schema(len(order)))


def _turn(system: str) -> tuple[Message, ...]:
    return (Message(role="system", content=system),) if system.strip() else ()


def _fingerprint(aspect: Aspect, pair: TemplatePair, told: bool) -> str:
    schema = aspect.layout.schema(1)
    return digest_of(_QUESTION, aspect.name, pair.system, pair.user, told, schema).hex()


class UltraFeedback:
    """Implements `prefmill.plugins.rubric.Rubric`."""

    Options: ClassVar[type[Strict]] = UltraFeedbackOptions

    def __init__(self, options: Strict) -> None:
        """Raises RecipeError for a template that cannot be used."""
        assert isinstance(options, UltraFeedbackOptions)
        pairs, told = options.templates or _built_in(), options.reference_in
        self._told = told
        self._asked = {
            name: _Asked(ASPECTS[name], pairs[name], name in told) for name in options.ultrafeedback
        }
        self._fingerprints = {
            name: _fingerprint(ASPECTS[name], pair, name in told) for name, pair in pairs.items()
        }
        self._fingerprint = digest_of(self._fingerprints).hex()

    @property
    def aspects(self) -> tuple[str, ...]:
        """The aspects asked for, in the recipe's order."""
        return tuple(self._asked)

    @property
    def tokens_per_text(self) -> int:
        """A generous mean; with types, a judge writes two rationales."""
        return 120 if any(ASPECTS[name].layout.types for name in self._asked) else 80

    def fingerprint(self) -> str:
        """Of all templates at hand, also of aspects not asked for: to add an aspect to a recipe
        leaves it as it is, so that what is stored of the others still counts."""
        return self._fingerprint

    def fingerprint_of(self, aspect: str) -> str:
        """Of one aspect alone: unchanged when only another aspect's template changes."""
        return self._fingerprints[aspect_named(aspect).name]

    def annotation(self, aspect: str) -> Annotation:
        """How people check an aspect."""
        known = aspect_named(aspect)
        return annotation_by(aspect, known.layout, seen(known.name in self._told))

    def ask(self, row: JudgeRow, aspect: str, order: tuple[int, ...]) -> Question:
        """The question about `row.generations[i] for i in order`. RecipeError for an aspect that
        the options do not name, or a template that this row breaks."""
        asked = self._asked.get(aspect)
        if asked is None:
            raise RecipeError(
                f"the aspect {aspect!r} is not asked for{nearest(aspect, self._asked)}"
            )
        return asked.question(row, order)

    def read(self, aspect: str, answer: str, texts: int) -> tuple[Reading, ...]:
        """One reading per shown text, in shown order. Never raises for any answer."""
        return aspect_named(aspect).layout.read(answer, texts)

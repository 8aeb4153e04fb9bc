"""Prompt templates: read from a folder, checked, compiled once, rendered in Jinja's sandbox.

Text of others is only ever the value of a variable, never a template. Templates see these
variables and no Python: `aspect`, `instruction`, `generations`, `no_texts`, `history`,
`reference`, `types`; those of other rubrics also `principles` and what the rubric adds.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.judge.rubrics.frames import Frame, key_of, marked, others, passes_on
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import nearest

VARIABLES: Final = (
    "aspect",
    "instruction",
    "generations",
    "no_texts",
    "history",
    "reference",
    "types",
)
_FAULTS: Final = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a template's own mistake can raise while it is compiled or rendered."""


_MOST_FRAMES: Final = 64


class TemplatePair(Strict):
    """The templates of one aspect, as text."""

    system: str = Field(default="", description="Jinja template; empty: no system prompt.")
    user: str = Field(description="Jinja template of the user turn.")


def _sandbox() -> ImmutableSandboxedEnvironment:
    # Prompts are no HTML: escaping would alter the texts to be judged.
    sandbox = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    sandbox.globals = {name: sandbox.globals[name] for name in ("range", "namespace")}
    del sandbox.filters["random"]  # equal rows make equal questions
    return sandbox


_SANDBOX: Final = _sandbox()


@lru_cache(maxsize=256)
def _compiled(source: str, known: tuple[str, ...]) -> tuple[Template, frozenset[str], bool]:
    """A template, the variables it uses, and whether it only passes texts on. RecipeError for
    unknown variables and for other templates."""
    parsed = _SANDBOX.parse(source)
    if any(True for _ in meta.find_referenced_templates(parsed)):
        raise RecipeError("a prompt template cannot include or import another")
    names = meta.find_undeclared_variables(parsed) - set(_SANDBOX.globals)
    for name in sorted(names - set(known)):
        raise RecipeError(f"unknown variable {name!r}{nearest(name, known)}")
    framed = passes_on(parsed)
    return _SANDBOX.from_string(parsed), frozenset(names), framed


class Prompt:
    """One compiled template. `place` names its file or aspect in errors, `names` are the variables
    it uses. A template without variables is rendered once."""

    def __init__(self, source: str, place: str, known: tuple[str, ...] = VARIABLES) -> None:
        self._place = place
        self._fixed: str | None = None
        self._frames: dict[tuple[Any, ...], Frame] = {}
        try:
            self._template, self.names, self._framed = _compiled(source, known)
        except _FAULTS as error:
            raise RecipeError(f"{place}: {_said(error)}") from error
        self._others = others(self.names)
        self._fixed = None if self.names else self._rendered({})

    @property
    def fixed(self) -> str | None:
        """What it always renders to, if that does not depend on the row."""
        return self._fixed

    def render(self, values: Mapping[str, Any]) -> str:
        """The text. RecipeError says which template cannot be rendered, and why."""
        if self._fixed is not None:
            return self._fixed
        key = key_of(self._others, values) if self._framed else None
        if key is None:
            return self._rendered(values)
        frame = self._frames.get(key) or self._frame(key, values)
        return frame.filled(values)

    def _frame(self, key: tuple[Any, ...], values: Mapping[str, Any]) -> Frame:
        if len(self._frames) >= _MOST_FRAMES:
            self._frames.clear()
        frame = self._frames[key] = Frame(self._rendered(marked(values)))
        return frame

    def _rendered(self, values: Mapping[str, Any]) -> str:
        try:
            # All variables at once: to make them of two mappings takes longer than to render.
            context = self._template.new_context({**_SANDBOX.globals, **values}, shared=True)
            return "".join(self._template.root_render_func(context))
        except _FAULTS as error:
            raise RecipeError(f"{self._place}: {_said(error)}") from error


def _said(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    return f"line {line}: {error}" if line else str(error)


def read_folder(folder: Path, aspects: Iterable[str]) -> dict[str, tuple[Path, Path]]:
    """The system and user template files of each aspect that has both.

    `<aspect>.user.jinja2` or `<aspect>/user.jinja2`; `user.jinja2` serves the aspects that have
    none of their own; the same with `system`.
    """
    if not folder.is_dir():
        raise RecipeError(f"no such folder: {folder.absolute()}")
    found: dict[str, tuple[Path, Path]] = {}
    for aspect in aspects:
        system, user = (_file(folder, aspect, role) for role in ("system", "user"))
        if system and user:
            found[aspect] = (system, user)
    return found


def _file(folder: Path, aspect: str, role: str) -> Path | None:
    own = [folder / f"{aspect}.{role}.jinja2", folder / aspect / f"{role}.jinja2"]
    there = [path for path in own if path.is_file()]
    if len(there) > 1:
        raise RecipeError(f"{there[0]} and {there[1]}: keep one of them")
    shared = folder / f"{role}.jinja2"
    return there[0] if there else shared if shared.is_file() else None


def source_of(path: Path) -> str:
    """The text of a template file. RecipeError if it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from error

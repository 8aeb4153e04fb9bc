"""Transforms: rows are changed or left out, before generation or after pooling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from pydantic import JsonValue

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Failure
from prefmill.contracts.reasons import (
    LEFT_OUT_BY,
    LEFT_OUT_BY_OUTPUT,
    OUTPUT_TRANSFORM_FAILED,
    TRANSFORM_FAILED,
)
from prefmill.contracts.recipe import PluginSpec
from prefmill.contracts.rows import Prompt
from prefmill.plugins import registry
from prefmill.plugins.errors import RecipeError, line_in
from prefmill.plugins.format import ScoredRow
from prefmill.plugins.records import (
    PROMPT_FIELDS,
    SCORED_FIELDS,
    Record,
    prompt_record,
    prompt_with,
    scored_record,
    scored_with,
)
from prefmill.plugins.source import Source, sound


class Transform(Protocol):
    """Changes rows or leaves them out, one after the other; it never adds one, so that each keeps
    its position. Deterministic: the rows are read again where a run goes on.

    A row is a mapping, as `prefmill.plugins.records` has it. An exception costs that row alone.

    Two attributes may be left out. `stateful = True`, of the class: what becomes of a row depends
    on those before it, so every pass begins with the first one. `fields`: those it reads; before
    generation there are fewer than after pooling, which is then found out when a recipe is checked.
    """

    Options: ClassVar[type[Strict]]

    def __init__(self, options: Strict) -> None: ...

    def apply(self, row: Record) -> Record | None:
        """The row, changed or not; None to leave it out."""
        ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """A transform that a recipe names, with its checked options."""

    where: str
    name: str
    plugin: Any
    options: Strict

    def identity(self) -> JsonValue:
        """What determines its work: name, options, and of a plugin in a file its code."""
        code: str = getattr(self.plugin, "digest", "")
        return [self.name, self.options.model_dump(mode="json"), code]


class _Place(NamedTuple):
    """Of a recipe, where transforms stand; and the reasons of rows that end there."""

    where: str
    failed: str
    left_out: str

    def failure(self, where: str, error: Exception) -> Failure:
        """What is told of a row on which a transform failed."""
        said = " ".join(str(error).split())
        return Failure(reason=self.failed, detail=f"{where}: {type(error).__name__}: {said}")


BEFORE: Final = _Place("transforms", TRANSFORM_FAILED, LEFT_OUT_BY)
AFTER: Final = _Place("output.transforms", OUTPUT_TRANSFORM_FAILED, LEFT_OUT_BY_OUTPUT)


class Chain:
    """Transforms one after the other, made afresh for one pass over the rows."""

    def __init__(self, chosen: Sequence[Chosen]) -> None:
        self._steps = [(each, each.plugin(each.options)) for each in chosen]

    def prompt(self, prompt: Prompt) -> Prompt:
        """The prompt as it goes on; with a failure if it is left out. One that could not be
        loaded passes by."""
        if prompt.failure is not None or not self._steps:
            return prompt
        found = self._applied(prompt_record(prompt), BEFORE)
        if not isinstance(found, Failure):
            try:
                return prompt_with(prompt, found)
            except ValueError as error:
                found = BEFORE.failure(self._names(BEFORE), error)
        return prompt.replace(failure=found)

    def scored(self, row: ScoredRow) -> ScoredRow:
        """The row as formats see it; one that is not loaded, or not finished, passes by."""
        if row.row.prompt.failure is not None or row.row.open_cells or not self._steps:
            return row
        found = self._applied(scored_record(row), AFTER)
        if not isinstance(found, Failure):
            try:
                return scored_with(row, found)
            except ValueError as error:
                found = AFTER.failure(self._names(AFTER), error)
        return replace(row, left_out=found)

    def _names(self, place: _Place) -> str:
        """Where it was made what it is: what all of them leave is looked at at the end."""
        return f"{place.where} ({', '.join(chosen.name for chosen, _ in self._steps)})"

    def _applied(self, record: Record, place: _Place) -> Record | Failure:
        for chosen, transform in self._steps:
            try:
                kept = transform.apply(record)
            except Exception as error:  # noqa: BLE001 - one row that breaks it is one row
                return place.failure(f"{chosen.where} ({_named(chosen, error)})", error)
            if kept is None:
                return Failure(reason=f"{place.left_out}{chosen.name}", detail=chosen.where)
            record = kept
        return record


def _named(chosen: Chosen, error: Exception) -> str:
    """A transform, and of one in a file the line that raised."""
    path: str = getattr(chosen.plugin, "file", ("",))[0]
    line = line_in(error, path) if path else None
    return f"{chosen.name}, {Path(path).name}:{line}" if line else chosen.name


def transforms_of(specs: Sequence[PluginSpec], where: str) -> tuple[Chosen, ...]:
    """The transforms at a place of a recipe. RecipeError for all that do not exist, or refuse
    their options."""
    chosen: list[Chosen] = []
    problems: list[str] = []
    for index, spec in enumerate(specs):
        place = f"{where}.{index}"
        try:
            name = registry.name_in("transforms", spec)
            plugin, options = registry.named_options("transforms", spec, place)
            _check_fields(plugin(options), name, early=where == "transforms")
            chosen.append(Chosen(place, name, plugin, options))
        except RecipeError as error:
            problems += [p if p.startswith(place) else f"{place}: {p}" for p in error.problems]
    if problems:
        raise RecipeError(*problems)
    return tuple(chosen)


def _check_fields(transform: Transform, name: str, *, early: bool) -> None:
    known = PROMPT_FIELDS if early else SCORED_FIELDS
    for field in sorted(set(getattr(transform, "fields", ())) - set(known)):
        hint = registry.nearest(field, known)
        if early and field in SCORED_FIELDS:
            hint = ", before there are scores; put it into `output.transforms`"
        raise RecipeError(f"{name}: a row has no field {field!r}{hint}")


def any_stateful(chosen: Sequence[Chosen]) -> bool:
    """Whether rows have to be shown from the first on."""
    return any(getattr(each.plugin, "stateful", False) for each in chosen)


def transformed(source: Source, chosen: Sequence[Chosen], skip: int = 0) -> Iterator[Prompt]:
    """The prompts of a source from row `skip` on, as they go on."""
    if not chosen:
        return sound(source, skip)
    chain = Chain(chosen)
    if any_stateful(chosen):
        return islice(map(chain.prompt, sound(source, 0)), skip, None)
    return map(chain.prompt, sound(source, skip))

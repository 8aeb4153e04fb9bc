"""Destinations: where a dataset goes beside the folder that every export writes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

from prefmill.contracts.base import Strict
from prefmill.contracts.recipe import Output
from prefmill.plugins import registry
from prefmill.plugins.errors import RecipeError


class DestinationError(Exception):
    """A dataset cannot be written; the message says why, where and what to do."""


class Destination(Protocol):
    """Takes a whole dataset, as the folder of an export holds it.

    Four members may be left out: `formats`, the names of the formats it reads; `every`, after
    how many finished rows of a run that goes on it wants the dataset so far (None: only the whole
    one), which a recipe says as the option `every`; and two that are asked before anything is
    spent, which say in a sentence what is wrong, or None: `missing()`, what this machine lacks for
    it, and `refuses(manifest)`, why a dataset of this recipe is of no use to it. Of `run.json` the
    manifest then has `judges` and `rubrics`.
    """

    Options: ClassVar[type[Strict]]

    def __init__(self, options: Strict) -> None: ...

    def publish(self, folder: Path) -> str:
        """Take the dataset, in a thread that may block; where it is now, for a person.

        Repeated after a failure, it goes on where it was. DestinationError says what is wrong and
        what to do.
        """
        ...


def destinations_of(output: Output) -> list[Destination]:
    """The destinations that an output names. RecipeError for one that does not exist, and for
    options that it does not have."""
    made: list[Destination] = []
    problems: list[str] = []
    for name, value in output.destinations().items():
        try:
            made.append(_made(name, value))
            _check_formats(name, made[-1], output)
        except RecipeError as error:
            problems.extend(error.problems)
    if problems:
        raise RecipeError(*problems)
    return made


def unready(output: Output) -> Iterator[str]:
    """What this machine lacks for the destinations of an output, each with its place."""
    for name, place in zip(output.destinations(), destinations_of(output), strict=True):
        missing = getattr(place, "missing", None)
        if missing is not None and (why := missing()):
            yield f"output.{name}: {why}"


def refuse_useless(output: Output, manifest: Mapping[str, Any]) -> None:
    """RecipeError for destinations to which a dataset with this manifest is of no use."""
    problems: list[str] = []
    for name, place in zip(output.destinations(), destinations_of(output), strict=True):
        refuses = getattr(place, "refuses", None)
        if refuses is not None and (why := refuses(manifest)):
            problems.append(f"output.{name}: {why}")
    if problems:
        raise RecipeError(*problems)


def _check_formats(name: str, place: Destination, output: Output) -> None:
    """A destination may say which formats it reads, as `formats`."""
    named = {registry.name_in("formats", spec) for spec in output.formats}
    for wanted in getattr(place, "formats", ()):
        if wanted not in named:
            raise RecipeError(f"output.{name}: needs the format {wanted}: add it to output.formats")


def _made(name: str, value: Any) -> Destination:
    where = f"output.{name}"
    if name not in registry.installed("destinations"):
        known = (*Output.model_fields, *registry.installed("destinations"))
        raise RecipeError(f"{where}: unknown key{registry.nearest(name, known)}")
    plugin = registry.load("destinations", name)
    options = cast("dict[str, Any]", value) if isinstance(value, dict) else {name: value}
    return plugin(registry.options_of(plugin, options, where))

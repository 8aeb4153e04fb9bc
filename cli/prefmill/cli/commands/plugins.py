"""`prefmill plugins`: what is installed, or stands in a file."""

import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from prefmill.cli.show.numbers import table
from prefmill.cli.stop import FAILED, WRONG, Stop
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import GROUPS, installed, load, nearest

_WIDTH = 100


@dataclass(frozen=True)
class Found:
    """A plugin, and who brings it; or why it cannot be used."""

    group: str
    name: str
    origin: str
    plugin: Any = None
    problem: str = ""

    @property
    def about(self) -> str:
        """The first sentence of its docstring."""
        if self.problem:
            return f"! {self.problem}"
        paragraph = (inspect.getdoc(self.plugin) or "").partition("\n\n")[0]
        return " ".join(paragraph.split()).partition(". ")[0]

    @property
    def options(self) -> dict[str, Any]:
        """Option, as a recipe writes it → pydantic's field."""
        if self.plugin is None:
            return {}
        fields = self.plugin.Options.model_fields
        return {field.alias or name: field for name, field in fields.items()}


@click.command()
@click.argument("name", required=False)
def plugins(name: str | None) -> None:
    """List the installed plugins by group: name, distribution, options. With NAME, say what the
    options of the plugins of that name mean. NAME may be a Python file with plugins of your own.
    """
    if name and name.endswith(".py"):
        found, detailed = _of_file(name), True
    else:
        found = [each for each in _installed() if name in (None, each.name)]
        detailed = name is not None
    if not found:
        known = {each.name for each in _installed()}
        raise Stop(WRONG, f"error: no plugin named {name!r}{nearest(name or '', known)}")
    for group in GROUPS:
        of_group = [each for each in found if each.group == group]
        for line in _lines(of_group, detailed=detailed):
            click.echo(line)
    if any(each.problem for each in found):
        raise Stop(FAILED, "error: some plugins cannot be used, see above")


def _installed() -> Iterator[Found]:
    for group in GROUPS:
        for name, point in sorted(installed(group).items()):
            origin = f"{point.dist.name} {point.dist.version}" if point.dist else ""
            try:
                yield Found(group, name, origin, load(group, name))
            except RecipeError as error:
                yield Found(group, name, origin, problem=str(error))


def _of_file(path: str) -> list[Found]:
    from prefmill.plugins.files import loaded

    try:
        named = loaded(str(Path(path).absolute()))
    except RecipeError as error:
        raise Stop(WRONG, *(f"error: {problem}" for problem in error.problems)) from error
    return [Found(group, name, path, plugin) for (group, name), plugin in named.items()]


def _lines(found: list[Found], *, detailed: bool) -> Iterator[str]:
    if not found:
        return
    rows = [(f"  {each.name}", each.origin, each.about) for each in found]
    head, *lines = table((f"{found[0].group}:", "", ""), rows, left=3)
    yield head
    for each, line in zip(found, lines, strict=True):
        yield line
        yield from _explained(each) if detailed else _named(each)
    yield ""


def _named(found: Found) -> Iterator[str]:
    if found.options:
        names = ", ".join(found.options)
        yield from textwrap.wrap(names, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _explained(found: Found) -> Iterator[str]:
    rows = [
        (f"      {name}", _default(field), field.description or "")
        for name, field in found.options.items()
    ]
    yield from table(("      option", "default", "meaning"), rows, left=3) if rows else ()


def _default(field: Any) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    return "" if value is None else str(value) if value != () else "[]"

"""`{mix: [{jsonl: a.jsonl, name: a, rows: 100}, {hub: org/b, name: b}]}`: several sources."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, ClassVar, Final, TypeVar

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.recipe import PluginSpec
from prefmill.contracts.rows import Prompt
from prefmill.plugins import registry
from prefmill.plugins.digest import digest_of
from prefmill.plugins.errors import RecipeError, problems_at
from prefmill.plugins.source import Source

MIX: Final = "mix"
T = TypeVar("T")


class MixOptions(Strict):
    """What `mix` understands."""

    mix: tuple[PluginSpec, ...] = Field(
        min_length=1,
        description="Sources, each with options of its own, such as `rows`, and a `name`: the "
        "`source` of its prompts.",
    )
    rows: int | None = Field(default=None, ge=1, description="Only the first so many rows of all.")


class MixSource:
    """The rows of the first source, then those of the second, and so on.

    A row's id is `NAME/ID`, where a source without a name has its number: ids of different
    sources never clash.
    """

    Options: ClassVar[type[MixOptions]] = MixOptions

    def __init__(self, options: Strict) -> None:
        """RecipeError if one of the sources cannot be used, or two have one name."""
        assert isinstance(options, MixOptions)
        self._rows = options.rows
        names = [_name(spec, number) for number, spec in enumerate(options.mix)]
        self._sources = [_source(spec, number) for number, spec in enumerate(options.mix)]
        self._names = [name or str(number) for number, name in enumerate(names, 1)]
        self._named = [name is not None for name in names]
        twice = sorted({name for name in self._names if self._names.count(name) > 1})
        if twice:
            raise RecipeError(
                f"source.mix: two sources are named {twice[0]!r}; name them apart, or give one "
                "source several files"
            )

    def fingerprint(self) -> str:
        """Of all of them."""
        return digest_of(self._each(lambda source: source.fingerprint())).hex()

    def size(self) -> int | None:
        """Their sum, where all are known."""
        sizes = self._each(lambda source: source.size())
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes):
            return None
        return sum(known) if self._rows is None else min(sum(known), self._rows)

    def read(self, skip: int = 0) -> Iterator[Prompt]:
        """Prompts from row `skip` on. What comes before is read again: how many rows a source has
        is known for certain only at its end."""
        return islice(self._prompts(), skip, self._rows)

    def _prompts(self) -> Iterator[Prompt]:
        for number, source in enumerate(self._sources):
            name, named = self._names[number], self._named[number]
            for prompt in _read(source, number):
                update: dict[str, Any] = {"id": f"{name}/{prompt.id}"}
                if named:
                    update["metadata"] = {**prompt.metadata, "source": name}
                yield prompt.replace(**update)

    def _each(self, ask: Callable[[Source], T]) -> list[T]:
        """Of every source. A problem is told at its place."""
        told: list[T] = []
        for number, source in enumerate(self._sources):
            with _at(number):
                told.append(ask(source))
        return told


def _at(number: int) -> AbstractContextManager[None]:
    """A source does not know that it is one of several."""
    return problems_at(f"source.{MIX}.{number}", "source")


def _read(source: Source, number: int) -> Iterator[Prompt]:
    with _at(number):
        yield from source.read()


def _name(spec: PluginSpec, number: int) -> str | None:
    name = spec.get("name")
    if name is None or (isinstance(name, str) and name):
        return name
    raise RecipeError(f"source.mix.{number}.name: {name!r} is no name; write a text")


def _source(spec: PluginSpec, number: int) -> Source:
    where = f"source.mix.{number}"
    if MIX in spec:
        raise RecipeError(f"{where}: a mix holds no other mix; write its sources into this one")
    own = {key: value for key, value in spec.items() if key != "name"}
    with _at(number):
        plugin, options = registry.named_options("sources", own, where)
        return plugin(options)

"""The formats that an `output:` names, each cut down to the columns that it asks for.

What is wrong with a choice of columns is found when the recipe is checked, as the columns follow
from judges and aspects alone.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from pydantic import JsonValue

from prefmill.contracts.recipe import ColumnChoice, Output, PluginSpec
from prefmill.plugins import registry
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.format import Format, FormatContext, ScoredRow, Written, arrow_schema

WHERE: Final = "output.columns"
METADATA: Final = "metadata"
SOURCE: Final = f"{METADATA}."

Record = dict[str, Any]


def formats_of(output: Output, context: FormatContext) -> list[Format]:
    """The formats, in the recipe's order. RecipeError names each format, option or column that
    does not exist, and the nearest that does; a config that two of them write; or that there is
    none."""
    if not output.formats:
        raise RecipeError("output.formats: name at least one, for example `raw`")
    named: list[tuple[str, Format]] = []
    for index, spec in enumerate(output.formats):
        plugin, options = registry.named_options("formats", spec, f"output.formats.{index}")
        named.append((registry.name_in("formats", spec), plugin(options, context)))
    _written_once(named)
    if output.columns is None:
        return [form for _, form in named]
    return _selected(named, output.columns)


def _written_once(named: Sequence[tuple[str, Format]]) -> None:
    owners: dict[str, int] = {}
    for index, (_, form) in enumerate(named):
        for config in form.configs():
            if config in owners:
                raise RecipeError(
                    f"output.formats.{index}: it writes the config {config!r}, as "
                    f"output.formats.{owners[config]} does; leave one of them out, and make it "
                    "later with `prefmill export`"
                )
            owners[config] = index


def with_formats(output: Output, formats: tuple[PluginSpec, ...]) -> Output:
    """The output with these formats instead. What it says of columns of one of its own formats
    that is not among them falls away; without it, an export of another format would be refused."""
    columns = output.columns
    if columns is not None and _flat(columns) is None:
        wanted = [registry.name_in("formats", spec) for spec in formats]
        kept = {name: choice for name, choice in _keyed(columns) if _is_of(name, wanted)}
        columns = kept or None
    return output.model_copy(update={"formats": formats, "columns": columns})


def _is_of(config: str, formats: Sequence[str]) -> bool:
    """Whether it is one of the formats, or one of the configs that one makes for each aspect."""
    return any(config == name or config.startswith(f"{name}-") for name in formats)


def pages_of(form: Any) -> dict[str, JsonValue]:
    """JSON files that a format wants beside its data: name → value. Most have none."""
    pages = getattr(form, "pages", None)
    return {} if pages is None else pages()


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the dataset, and where its values stand in a format's record."""

    name: str
    source: str

    def value(self, record: Record) -> Any:
        """From the record, or, as text, from the columns its source had."""
        if not self.source.startswith(SOURCE):
            return record[self.source]
        found = json.loads(record[METADATA]).get(self.source.removeprefix(SOURCE))
        plain = found is None or isinstance(found, str)
        return found if plain else json.dumps(found, ensure_ascii=False)

    def field(self, schema: Any) -> Any:
        """Its Arrow field."""
        source = METADATA if self.source.startswith(SOURCE) else self.source
        return schema.field(source).with_name(self.name)


class Selected:
    """A format with fewer, other or otherwise named columns in some of its configs."""

    def __init__(self, form: Format, columns: Mapping[str, Sequence[_Column]]) -> None:
        self.training = form.training
        self.place: str = getattr(form, "place", "")
        self._form = form
        self._columns = dict(columns)

    def pages(self) -> dict[str, JsonValue]:
        """Those of the format."""
        return pages_of(self._form)

    def configs(self) -> dict[str, Any]:
        """Config name → pyarrow.Schema of the columns chosen."""
        return {name: self._schema(name, schema) for name, schema in self._form.configs().items()}

    def write(self, row: ScoredRow) -> dict[str, Written]:
        """What the row becomes in each config."""
        return {name: self._cut(name, written) for name, written in self._form.write(row).items()}

    def _schema(self, config: str, schema: Any) -> Any:
        if config not in self._columns:
            return schema
        schema = arrow_schema(schema)
        bare = schema
        for _ in schema:
            bare = bare.remove(0)
        for column in self._columns[config]:
            bare = bare.append(column.field(schema))
        return bare

    def _cut(self, config: str, written: Written) -> Written:
        columns = self._columns.get(config)
        if columns is None or not written.records:
            return written
        cut = tuple({c.name: c.value(record) for c in columns} for record in written.records)
        return replace(written, records=cut)


def _selected(
    named: list[tuple[str, Format]], chosen: ColumnChoice | Mapping[str, ColumnChoice]
) -> list[Format]:
    configs = {name: tuple(form.configs()) for name, form in named}
    choices = _by_config(chosen, configs)
    problems: list[str] = []
    made: list[Format] = []
    for _, form in named:
        columns: dict[str, list[_Column]] = {}
        for config, schema in form.configs().items():
            if config in choices:
                where, choice = choices[config]
                columns[config] = list(_columns(choice))
                problems += _problems(columns[config], arrow_schema(schema).names, where, config)
        made.append(cast("Format", Selected(form, columns)) if columns else form)
    if problems:
        raise RecipeError(*problems)
    return made


def _by_config(
    chosen: ColumnChoice | Mapping[str, ColumnChoice], configs: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ColumnChoice]]:
    """Config → where its choice stands in the recipe, and the choice."""
    every = [config for names in configs.values() for config in names]
    flat = _flat(chosen)
    if flat is not None:
        return dict.fromkeys(every, (WHERE, flat))
    known = {**{config: (config,) for config in every}, **configs}
    found: dict[str, tuple[str, ColumnChoice]] = {}
    problems: list[str] = []
    for name, choice in _keyed(chosen):
        if name not in known:
            problems.append(
                f"{WHERE}.{name}: no such format among output.formats"
                + registry.nearest(name, known)
            )
        found |= dict.fromkeys(known.get(name, ()), (f"{WHERE}.{name}", choice))
    if problems:
        raise RecipeError(*problems)
    return found


def _flat(chosen: ColumnChoice | Mapping[str, ColumnChoice]) -> ColumnChoice | None:
    """The choice, if it is one for all formats."""
    if isinstance(chosen, tuple):
        return chosen
    names = {name: value for name, value in chosen.items() if isinstance(value, str)}
    return names if len(names) == len(chosen) else None


def _keyed(
    chosen: ColumnChoice | Mapping[str, ColumnChoice],
) -> Iterator[tuple[str, ColumnChoice]]:
    for name, choice in chosen.items() if isinstance(chosen, Mapping) else ():
        if not isinstance(choice, str):
            yield name, choice


def _columns(choice: ColumnChoice) -> Iterator[_Column]:
    if isinstance(choice, tuple):
        return (_Column(source.removeprefix(SOURCE), source) for source in choice)
    return (_Column(name, source) for source, name in choice.items())


def _problems(
    columns: Sequence[_Column], known: Sequence[str], where: str, config: str
) -> Iterator[str]:
    if not columns:
        yield f"{where}: no column is left for {config!r}; name one, or leave `columns` out"
    for column in columns:
        ours = METADATA if column.source.startswith(SOURCE) else column.source
        if ours not in known:
            yield (
                f"{where}: {config!r} has no column named {column.source!r}"
                + registry.nearest(column.source, known)
            )
    for name, count in Counter(column.name for column in columns).items():
        if count > 1:
            yield (
                f"{where}: {count} columns of {config!r} would be named {name!r}; "
                "rename all but one"
            )

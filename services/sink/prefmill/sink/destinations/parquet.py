"""One shard of one config as a parquet file, written aside in row groups."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import Any, Final

from prefmill.sink.arrow import lean_arrow
from prefmill.sink.destinations.disk import aside_of, disk_errors, settle
from prefmill.sink.formats.columns import Record

ENCODING: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": False,
    "write_statistics": False,
}
"""Texts hardly repeat: dictionaries and statistics cost time and save no bytes."""

SAID: Final = 120
"""Characters of what Arrow says of a value."""

GROUP_ROWS: Final = 1000
"""Records in memory at once, for each config."""


class Unwritable(Exception):
    """What a format gave for a row cannot be written."""


class ParquetShard:
    """Takes records; `close` makes the file appear, `abort` leaves nothing.

    Equal records make equal bytes, however they were added.
    """

    def __init__(self, path: Path, schema: Any) -> None:
        self.path = path
        self.schema = schema
        self._buffer: list[Record] = []
        self._rows: list[str] = []
        self._writer: Any = None

    def add(self, records: Sequence[Record], row: str = "") -> None:
        """Take the records of a row, which is named by its id in errors; write those that make a
        row group. Unwritable names the column, the row and the types where they do not fit."""
        self._buffer.extend(records)
        self._rows.extend(repeat(row, len(records)))
        while len(self._buffer) >= GROUP_ROWS:
            self._write(GROUP_ROWS)

    def close(self) -> None:
        """The file, whole; none if there was no record. Unwritable as `add`."""
        if self._buffer:
            self._write(len(self._buffer))
        if self._writer is not None:
            with self._whole_or_nothing():
                self._writer.close()
                settle(self.path)
            self._writer = None

    def abort(self) -> None:
        """Leave nothing behind."""
        self._buffer, self._rows = [], []
        with suppress(OSError):
            if self._writer is not None:
                self._writer.close()
        self._writer = None
        aside_of(self.path).unlink(missing_ok=True)

    def _write(self, count: int) -> None:
        """The first so many records."""
        with self._whole_or_nothing():
            table = _table(self._buffer[:count], self._rows[:count], self.schema)
            self._begun().write_table(table)
            del self._buffer[:count], self._rows[:count]

    def _begun(self) -> Any:
        """The open file, begun with the first need of it."""
        if self._writer is None:
            import pyarrow.parquet as pq

            parquet: Any = pq
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = parquet.ParquetWriter(aside_of(self.path), self.schema, **ENCODING)
        return self._writer

    @contextmanager
    def _whole_or_nothing(self) -> Generator[None]:
        try:
            with disk_errors(self.path):
                yield
        except BaseException:
            self.abort()
            raise


def _table(records: Sequence[Record], rows: Sequence[str], schema: Any) -> Any:
    arrow = lean_arrow()
    columns = [_column(arrow, column, records, rows) for column in schema]
    return arrow.Table.from_arrays(columns, schema=schema)


def _column(arrow: Any, column: Any, records: Sequence[Record], rows: Sequence[str]) -> Any:
    try:
        return _array(arrow, [record[column.name] for record in records], column.type)
    except (arrow.ArrowException, *_MISFITS):
        for record, row in zip(records, rows, strict=True):
            _check(arrow, column, record, row)
        raise


def _array(arrow: Any, values: list[Any], kind: Any) -> Any:
    """ValueError for a fraction among integers: Arrow by itself cuts 1.5 down to 1."""
    for value in _integers(arrow.types, values, kind):
        if isinstance(value, float) and not value.is_integer():
            raise ValueError(f"{value:g} is no whole number")
    return arrow.array(values, type=kind)


def _integers(types: Any, values: Iterable[Any], kind: Any) -> Iterator[Any]:
    """What is to be an integer in values of this type, however deep."""
    if types.is_integer(kind):
        yield from values
    elif types.is_list(kind):
        inner = (each for value in values if value is not None for each in value)
        yield from _integers(types, inner, kind.value_type)
    elif types.is_struct(kind):
        given = [value for value in values if value is not None]
        for field in kind:
            inner = (value.get(field.name) for value in given)
            yield from _integers(types, inner, field.type)


def _check(arrow: Any, column: Any, record: Record, row: str) -> None:
    """Unwritable if the record's value is not of the column's type."""
    if column.name not in record:
        raise Unwritable(f"the record of row {row!r} has no column {column.name!r}")
    value = record[column.name]
    try:
        _array(arrow, [value], column.type)
    except (arrow.ArrowException, *_MISFITS) as error:
        found, why = _type_of(arrow, value), " ".join(str(error).split())
        raise Unwritable(
            f"the column {column.name!r} is {column.type}, and row {row!r} has {found} in it "
            f"({why[:SAID]})"
        ) from error


def _type_of(arrow: Any, value: object) -> str:
    """In Arrow's words; in Python's where it has none."""
    try:
        return str(arrow.array([value]).type)
    except (arrow.ArrowException, *_MISFITS):
        return type(value).__name__


_MISFITS: Final = (TypeError, ValueError, KeyError, OverflowError, AttributeError)
"""What is raised, beside exceptions of Arrow's own, for values that are not of a type."""

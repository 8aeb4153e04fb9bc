"""`{parquet: prompts.parquet}`: the rows of Parquet files."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
from pyarrow.parquet import ParquetFile
from pydantic import Field

from prefmill.coordinator.sources.files import Paths, files_of, fingerprint_of, place_of
from prefmill.coordinator.sources.mapping import Record, Unreadable
from prefmill.coordinator.sources.reading import RecordSource
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.source import SourceOptions

arrow: Any = pa  # it has no types
BATCH: Final = 256


class ParquetOptions(SourceOptions):
    """What `parquet` understands."""

    parquet: Paths = Field(description="A file, a pattern such as `data/*.parquet`, or several.")


class ParquetSource(RecordSource):
    """The rows of Parquet files, in the order of the files, read a batch at a time."""

    Options = ParquetOptions

    def __init__(self, options: SourceOptions) -> None:
        super().__init__(options)
        assert isinstance(options, ParquetOptions)
        self._paths = options.parquet

    def records(self, skip: int) -> Iterator[Record | Unreadable]:
        """The rows; files and row groups that are skipped are not read."""
        for file in self._files():
            with _opened(file) as parquet:
                rows = parquet.metadata.num_rows
                if skip < rows:
                    yield from _rows(parquet, file, skip)
                skip = max(0, skip - rows)

    def _files(self) -> list[Path]:
        return files_of(self._paths, "parquet")

    def place(self) -> str:
        """The files."""
        return place_of(self._files())

    def fingerprint(self) -> str:
        """Of the files' names, sizes and times."""
        return fingerprint_of(self._files())

    def count(self, limit: int | None) -> int | None:
        """As the files' footers say."""
        return sum(_count(file) for file in self._files())


def _opened(file: Path) -> Any:
    try:
        return ParquetFile(file, memory_map=False, pre_buffer=False)
    except (arrow.ArrowException, OSError) as error:
        raise RecipeError(f"{file}: no readable Parquet file: {_line(error)}") from error


def _count(file: Path) -> int:
    with _opened(file) as parquet:
        return int(parquet.metadata.num_rows)


def _rows(parquet: Any, file: Path, skip: int) -> Iterator[Record | Unreadable]:
    groups = list(range(parquet.num_row_groups))
    start = 0
    while (rows := parquet.metadata.row_group(groups[0]).num_rows) <= skip - start:
        start += rows
        groups.pop(0)
    read = _batches(parquet, file, start, groups)
    yield from islice(read, skip - start, None)


def _batches(
    parquet: Any, file: Path, row: int, groups: list[int]
) -> Iterator[Record | Unreadable]:
    try:
        for batch in parquet.iter_batches(batch_size=BATCH, row_groups=groups):
            yield from _records(batch, f"{file.name} row", row)
            row += batch.num_rows
    except (arrow.ArrowException, OSError) as error:
        raise RecipeError(f"{file}: cannot be read on from row {row}: {_line(error)}") from error


def _records(batch: Any, where: str, row: int) -> Iterator[Record | Unreadable]:
    """The batch's rows. Texts that are not UTF-8 show only when they are read: then one by one."""
    batch = _without_nanoseconds(batch)
    try:
        yield from cast("list[dict[str, Any]]", batch.to_pylist())
    except UnicodeDecodeError:
        for index in range(batch.num_rows):
            yield _record(batch.slice(index, 1), f"{where} {row + index}")


def _record(one: Any, where: str) -> Record | Unreadable:
    try:
        return cast("list[dict[str, Any]]", one.to_pylist())[0]
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        return Unreadable(f"{where}: a text is not UTF-8 (0x{byte:02x} at byte {error.start + 1})")


def _without_nanoseconds(batch: Any) -> Any:
    """Python's times end at microseconds: finer ones become texts."""
    for index, column in enumerate(batch.schema):
        if getattr(column.type, "unit", "") != "ns":
            continue
        fine = batch.column(index)
        try:
            cast_to = _microseconds(column.type)
            plain = fine.cast(cast_to)
        except arrow.ArrowInvalid:
            plain = fine.cast(arrow.string())
        batch = batch.set_column(index, column.name, plain)
    return batch


def _microseconds(kind: Any) -> Any:
    if arrow.types.is_timestamp(kind):
        return arrow.timestamp("us", tz=kind.tz)
    return arrow.duration("us") if arrow.types.is_duration(kind) else arrow.time64("us")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]

"""One shard of one config as a parquet file, written aside in row groups."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from prefmill.sink.destinations.disk import aside_of, disk_errors, settle
from prefmill.sink.formats.columns import Record

ENCODING: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": False,
    "write_statistics": False,
}
"""Texts hardly repeat: dictionaries and statistics cost time and save no bytes."""

GROUP_ROWS: Final = 1000
"""Records in memory at once, for each config."""


class ParquetShard:
    """Takes records; `close` makes the file appear, `abort` leaves nothing.

    Equal records make equal bytes, however they were added.
    """

    def __init__(self, path: Path, schema: Any) -> None:
        self.path = path
        self.schema = schema
        self._buffer: list[Record] = []
        self._writer: Any = None

    def add(self, records: Sequence[Record]) -> None:
        """Take records; write those that make a row group."""
        self._buffer.extend(records)
        while len(self._buffer) >= GROUP_ROWS:
            self._write(self._buffer[:GROUP_ROWS])
            del self._buffer[:GROUP_ROWS]

    def close(self) -> None:
        """The file, whole; none if there was no record."""
        if self._buffer:
            self._write(self._buffer)
            self._buffer = []
        if self._writer is not None:
            with self._whole_or_nothing():
                self._writer.close()
                settle(self.path)
            self._writer = None

    def abort(self) -> None:
        """Leave nothing behind."""
        self._buffer = []
        with suppress(OSError):
            if self._writer is not None:
                self._writer.close()
        self._writer = None
        aside_of(self.path).unlink(missing_ok=True)

    def _write(self, records: list[Record]) -> None:
        with self._whole_or_nothing():
            self._begun().write_table(_table(records, self.schema))

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


def _table(records: list[Record], schema: Any) -> Any:
    import pyarrow as pa

    arrow: Any = pa
    columns = [
        arrow.array([record[column.name] for record in records], type=column.type)
        for column in schema
    ]
    return arrow.Table.from_arrays(columns, schema=schema)

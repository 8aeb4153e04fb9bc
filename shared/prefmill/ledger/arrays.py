"""Many rows at once. A row costs the driver and SQLAlchemy more than what stands in it: where
thousands are read every second, keys come as one row of arrays, and texts as the driver has them
(Postgres would copy them more than once to put them into arrays). Where they are written, each
column is one parameter: numbers and hashes as one text, for the driver would look at every item.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def array_rows(
    connection: AsyncConnection, statement: sa.TextClause, values: Mapping[str, Any]
) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement that gives one row: an `array_agg` for each column."""
    return unnested((await connection.execute(statement, values)).one())


def unnested(arrays: Iterable[Sequence[Any] | None]) -> Iterator[tuple[Any, ...]]:
    """Arrays of one length turned into rows; an `array_agg` of no rows is None."""
    return zip(*(array or () for array in arrays), strict=True)


async def driver_rows(
    connection: AsyncConnection, statement: sa.TextClause, values: Mapping[str, Any]
) -> Sequence[Any]:
    """The rows of a statement as the driver has them, to be unpacked."""
    result = await connection.execute(statement, values)
    cursor = result.cursor
    found = cursor.fetchall() if cursor else ()
    result.close()
    return found


Columns = dict[str, list[Any] | str]
"""By parameter: a list of texts, or an array literal."""


def columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Rows, at least one, turned into one array a column, as the statements take them."""
    return {
        name: _array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def _array(column: tuple[Any, ...]) -> list[Any] | str:
    if isinstance(column[0], int):
        return numbers(column)
    if isinstance(column[0], bytes):
        return hashes(column)
    return list(column)


def numbers(column: Iterable[int]) -> str:
    """Whole numbers as an array literal."""
    return "{" + ",".join(map(str, column)) + "}"


def hashes(column: Iterable[bytes]) -> str:
    """Bytes as an array literal."""
    return "{" + ",".join([r"\\x" + value.hex() for value in column]) + "}"

"""Values as JSON and Postgres can hold them."""

import base64
from collections.abc import Container, Mapping
from datetime import date, time, timedelta
from math import isfinite, isnan
from typing import Any, Final, cast

from pydantic import JsonValue

from prefmill.engines.text import clean

DIGITS: Final = 4_000
"""A longer whole number cannot be written in decimal by Python's default; it becomes hex."""


def plain(value: Any) -> JsonValue:
    """The value as JSON: NaN and infinity are null, dates ISO 8601, durations seconds, bytes
    base64; anything else without a JSON form is its text."""
    kind = cast("type[Any]", type(value))
    if kind is str:
        return clean(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if value.bit_length() < 3 * DIGITS else hex(value)
    if kind is float:
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return plain_record(cast("Mapping[Any, Any]", value))
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("list[Any]", value)]
    return _other(value)


def plain_record(record: Mapping[Any, Any], without: Container[Any] = ()) -> dict[str, JsonValue]:
    """The record as JSON, without some of its keys."""
    return {
        clean(key if type(key) is str else str(key)): plain(value)
        for key, value in record.items()
        if key not in without
    }


def _other(value: Any) -> JsonValue:
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, str):
        return clean(str.__str__(value))
    if isinstance(value, int):
        return int(value)
    return plain(float(value)) if isinstance(value, float) else clean(str(value))


def is_null(value: Any) -> bool:
    """None, or the NaN that data frames write for it."""
    return value is None or (type(value) is float and isnan(value))

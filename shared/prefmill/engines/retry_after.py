"""How long a server asks to be left alone: its headers, as seconds from now."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST: Final = timedelta(hours=1)
"""A longer wait is cut to this; then one call asks again."""

_WINDOWS: Final = (
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
)
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN: Final = re.compile(r"(?:\d{1,12}(?:\.\d{1,12})?(?:ms|[smhd]))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """`retry-after-ms`, `retry-after` (seconds or a date), or the reset of an exhausted window.
    Between nothing and an hour; None if the server does not say."""
    for seconds in (
        _number(headers.get("retry-after-ms"), 0.001),
        _when(headers.get("retry-after"), now),
        *(_when(headers.get(reset), now) for left, reset in _WINDOWS if headers.get(left) == "0"),
    ):
        if seconds is not None:
            return timedelta(seconds=min(max(seconds, 0.0), LONGEST.total_seconds()))
    return None


def _when(value: str | None, now: datetime) -> float | None:
    if value is None:
        return None
    return next(
        (
            seconds
            for seconds in (_number(value), _span(value), _date(value, now))
            if seconds is not None
        ),
        None,
    )


def _number(value: str | None, unit: float = 1.0) -> float | None:
    try:
        seconds = float(value or "") * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _span(value: str) -> float | None:
    """`6m0s`, `20ms`: as OpenAI writes the reset of a window."""
    if not _SPAN.fullmatch(value):
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(value))


def _date(value: str, now: datetime) -> float | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = read(value)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            return (when - now).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None

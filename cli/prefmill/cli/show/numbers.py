"""Numbers as people read them."""

from collections.abc import Sequence


def count(value: int) -> str:
    """`950`, `12.3k`, `4.1M`: three digits are enough for tokens."""
    if value < 10_000:
        return f"{value:,}"
    return f"{value / 1e3:,.1f}k" if value < 999_950 else f"{value / 1e6:,.1f}M"


def seconds(value: float | None) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`; `–` if not known."""
    if value is None:
        return "–"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rate(value: float | None) -> str:
    """Per second: `3.2`, `140`; `–` if not known."""
    if value is None:
        return "–"
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Aligned lines; the first `left` columns to the left, the others to the right."""
    columns = list(zip(headers, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return ["  ".join(_cells(row, widths, left)).rstrip() for row in (headers, *rows)]


def _cells(row: Sequence[str], widths: Sequence[int], left: int) -> list[str]:
    return [
        cell.ljust(width) if index < left else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]

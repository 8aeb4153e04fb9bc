"""Costs as people read them, on a terminal, on a card or in an error."""

from math import floor, log10


def dollars(value: float | None) -> str:
    """US dollars: `$1,234.50`; two digits of what is less than ten cents: `$0.0042`; `–` if not
    known."""
    if value is None:
        return "–"
    if not 0 < value < 0.1:
        return f"${value:,.2f}"
    whole, part = f"{value:.{1 - floor(log10(value))}f}".split(".")
    return f"${whole}.{part.rstrip('0'):0<2}"

"""Stable pseudo-chance: numbers that depend on what they are drawn for, and on nothing else."""

from hashlib import blake2b


def draw(*values: str | int | None) -> int:
    """A number of 64 bits from the values in order."""
    text = "\x1f".join(map(str, values)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest())


def unit(*values: str | int | None) -> float:
    """A number in [0, 1) from the values in order."""
    return (draw(*values) >> 11) * 2.0**-53

"""Verdicts and the layout that judges are asked for (UltraFeedback's, arXiv 2310.01377)."""

from collections.abc import Iterable
from typing import NamedTuple


class Verdict(NamedTuple):
    """What a judge says of one text. `types` is None for aspects without types and () where none
    were found; with types, `rationale` explains them and `rationale_for_rating` the rating."""

    number: int
    rating: int
    rationale: str
    types: tuple[str, ...] | None = None
    rationale_for_rating: str = ""
    quality: int = 3
    """Of the text, 1 to 5; the rating is this on the scale that is asked for."""


def heading(number: int) -> str:
    """The line above a text's verdict."""
    return f"#### Output for Text {number}"


def body(verdict: Verdict) -> list[tuple[str, str]]:
    """Labels and what stands after them, in order."""
    if verdict.types is None:
        return [("Rating", str(verdict.rating)), ("Rationale", verdict.rationale)]
    return [
        ("Type", ", ".join(verdict.types) or "None"),
        ("Rationale", verdict.rationale),
        ("Rating", str(verdict.rating)),
        ("Rationale", verdict.rationale_for_rating),
    ]


def block_lines(verdict: Verdict) -> list[str]:
    """One text's verdict, line by line."""
    return [heading(verdict.number), *[f"{label}: {said}" for label, said in body(verdict)]]


def block(verdict: Verdict) -> str:
    """One text's verdict."""
    return "\n".join(block_lines(verdict))


def write_verdicts(verdicts: Iterable[Verdict]) -> str:
    """All verdicts as asked for: one block per text, a blank line between."""
    return "\n\n".join([block(verdict) for verdict in verdicts])

"""Forms that say a rating or a type in another way, or say one that is none."""

import re
from collections.abc import Sequence
from typing import Final

from prefmill.engines.simulated.malformed.form import Malformed, malformed
from prefmill.engines.simulated.verdicts import Verdict, block, write_verdicts

_RATING: Final = re.compile(r"^Rating: .*$", re.MULTILINE)
_WORDS: Final = ("One", "Two", "Three", "Four", "Five")


def _first_rated(verdicts: Sequence[Verdict], said: str) -> str:
    """The layout, with the first text's rating said as given."""
    first = _RATING.sub(f"Rating: {said}".rstrip(), block(verdicts[0]))
    return f"{first}\n\n{write_verdicts(verdicts[1:])}".rstrip()


@malformed("unspoken", touches="first")
def na(verdicts: Sequence[Verdict]) -> str:
    """`N/A`, which UltraFeedback allows for honesty only."""
    return _first_rated(verdicts, "N/A")


@malformed("unspoken", touches="first")
def na_lower(verdicts: Sequence[Verdict]) -> str:
    """`n/a`."""
    return _first_rated(verdicts, "n/a")


@malformed("unspoken", touches="first")
def na_dot(verdicts: Sequence[Verdict]) -> str:
    """`N/A.`."""
    return _first_rated(verdicts, "N/A.")


@malformed("unspoken", touches="first")
def none_dot(verdicts: Sequence[Verdict]) -> str:
    """`None.`."""
    return _first_rated(verdicts, "None.")


@malformed("unspoken", touches="first")
def none_quoted(verdicts: Sequence[Verdict]) -> str:
    """`"None"`."""
    return _first_rated(verdicts, '"None"')


@malformed("unspoken", touches="first")
def none_bracketed(verdicts: Sequence[Verdict]) -> str:
    """`[None]`."""
    return _first_rated(verdicts, "[None]")


@malformed("recovered", touches="first")
def word(verdicts: Sequence[Verdict]) -> str:
    """`Five`."""
    return _first_rated(verdicts, _WORDS[verdicts[0].rating - 1])


@malformed("recovered", touches="first")
def out_of_five(verdicts: Sequence[Verdict]) -> str:
    """`4/5`."""
    return _first_rated(verdicts, f"{verdicts[0].rating}/5")


@malformed("other", touches="first")
def half(verdicts: Sequence[Verdict]) -> str:
    """`4.5`: never injected by `malformed` alone, for it reads as another rating."""
    return _first_rated(verdicts, str(verdicts[0].rating - 0.5))


@malformed("lost", touches="first")
def negative(verdicts: Sequence[Verdict]) -> str:
    """`-1`."""
    return _first_rated(verdicts, "-1")


@malformed("lost", touches="first")
def zero(verdicts: Sequence[Verdict]) -> str:
    """`0`."""
    return _first_rated(verdicts, "0")


@malformed("lost", touches="first")
def ten(verdicts: Sequence[Verdict]) -> str:
    """`10`."""
    return _first_rated(verdicts, "10")


@malformed("lost", touches="first")
def no_rating(verdicts: Sequence[Verdict]) -> str:
    """`Rating:` and nothing after it."""
    return _first_rated(verdicts, "")


@malformed("recovered", needs="types")
def types_bracketed(verdicts: Sequence[Verdict]) -> str:
    """`Type: [1, 3]`."""
    return re.sub(r"^Type: (.*)$", r"Type: [\1]", write_verdicts(verdicts), flags=re.MULTILINE)


@malformed("recovered", needs="types")
def types_and(verdicts: Sequence[Verdict]) -> str:
    """`Type: 1 and 3`."""
    said = write_verdicts(verdicts)
    return re.sub(r"^(Type: \d), (?=\d$)", r"\1 and ", said, flags=re.MULTILINE)


@malformed("recovered", needs="types")
def types_none_dot(verdicts: Sequence[Verdict]) -> str:
    """`Type: none.`."""
    return write_verdicts(verdicts).replace("Type: None", "Type: none.")


RATINGS: Final[tuple[Malformed, ...]] = (
    na,
    na_lower,
    na_dot,
    none_dot,
    none_quoted,
    none_bracketed,
    word,
    out_of_five,
    half,
    negative,
    zero,
    ten,
    no_rating,
    types_bracketed,
    types_and,
    types_none_dot,
)

"""Parameters that a server refuses: which one a 400 is about, and whether it may be left out."""

import re
from collections.abc import Collection
from typing import Final

from prefmill.engines.server_error import ServerError

SAMPLING: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
)
"""What may be left out: without it an answer is drawn otherwise, but answers the same question."""

MAX_TOKENS: Final = ("max_tokens", "max_completion_tokens")

_CODES: Final = frozenset(
    {"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"}
)
_WORDS: Final = re.compile(
    r"unsupported|not support|unrecognized|unknown|unexpected|extra (?:inputs|fields)|"
    r"not permitted|not allowed|deprecated|cannot both|can't both",
    re.IGNORECASE,
)
_BOTH: Final = re.compile(r"\bboth\b", re.IGNORECASE)


def refused_parameter(status: int, error: ServerError, sent: Collection[str]) -> str:
    """The name of the parameter in `sent` that the server does not take at all (or not with this
    value); empty if the failure is about something else."""
    if status not in (400, 422) or not (error.codes & _CODES or _WORDS.search(error.message)):
        return ""
    blamed = error.param.rsplit(".", 1)[-1]
    if blamed in sent:
        return blamed
    named = sorted(_mentioned(error.message, sent), key=error.message.find)
    if not named:
        return ""
    return named[-1] if _BOTH.search(error.message) else named[0]


def _mentioned(message: str, sent: Collection[str]) -> list[str]:
    known = (*SAMPLING, *MAX_TOKENS)
    return [n for n in known if n in sent and re.search(rf"(?<!\w){n}(?!\w)", message)]

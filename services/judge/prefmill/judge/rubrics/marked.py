"""Answers in prose with a mark that announces the rating: `Overall Score: 8`, `[RESULT] 4`.

Comes in: the body of an answer. Goes out: what stands behind each mark, and the prose as rationale.
Never does: take what is quoted (`> …`, in quotation marks, in a code fence amid prose) for a mark.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prefmill.judge.rubrics.scales import VALUE_CHARS
from prefmill.judge.rubrics.stated import Stated

_FENCE: Final = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_QUOTED: Final = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_LEAD: Final = re.compile(
    r"[\s#*_\-+•]*(?:feedback|rationale|reasons?|reasoning|explanation|critique|comments?)"
    r"[\s*_]*[:：][\s*_]*",
    re.IGNORECASE,
)
_EDGES: Final = " \t\r\n*_#-–—=~`•"
_NOT_QUOTED: Final = r"(?<![^\W_])(?<![\"'“‘«›])"


def marks(*words: str) -> re.Pattern[str]:
    """Any of these words as a mark with a colon: bold, a heading, in any case, with a range in
    brackets before the colon, with a full-width colon, or with its value on the next line."""
    said = "|".join(r"[\s_*]+".join(map(re.escape, word.split())) for word in words)
    return re.compile(
        rf"{_NOT_QUOTED}(?:{said})(?![\w\"'”’»])[\s*_]{{0,4}}(?:\([^()\n]{{0,24}}\)[ \t*_]{{0,4}})?"
        r"(?:[:：=]|[-–—](?=\s)|[ \t]*$)",
        re.IGNORECASE | re.MULTILINE,
    )


def spoken(body: str) -> Iterable[str]:
    """The answer without what it quotes; then, for answers that stand in a code fence as a whole,
    with what the fences hold."""
    body = _QUOTED.sub("", body.replace("\r\n", "\n"))
    parts = _FENCE.split(body)
    if len(parts) > 1:
        yield "\n".join(parts[::2])
    yield "\n".join(parts)


@dataclass(frozen=True, eq=False)
class Marked:
    """Finds the rating of the one text (or pair) that an answer in prose is about."""

    mark: re.Pattern[str]

    def __call__(self, body: str, texts: int) -> dict[int, list[Stated]]:
        """What stands behind the marks, under label 1; without a mark, prose alone."""
        for said in spoken(body):
            if found := list(self.mark.finditer(said)):
                ratings: list[object] = [value_behind(said, mark.end()) for mark in found]
                return {1: [Stated(ratings=ratings, rationale=_prose(said, found))]}
        return {1: [Stated(rationale=body)]}


def value_behind(said: str, at: int) -> str:
    """The rest of the line, or the next line that is not blank if nothing is left of it."""
    end = said.find("\n", at)
    value = said[at : end if end >= 0 else None].strip(_MARKS)
    if value or end < 0:
        return value[:VALUE_CHARS]
    rest = said[end : end + 2 * VALUE_CHARS].lstrip()
    return rest.partition("\n")[0].strip(_MARKS)[:VALUE_CHARS]


_MARKS: Final = " \t\r*_:："


def _prose(said: str, found: list[re.Match[str]]) -> str:
    """What stands before the first mark; where that is nothing, what follows the last line."""
    before = said[: found[0].start()]
    before = before[: len(before.rstrip(_EDGES))].strip()
    text = _without_lead(before)
    if text.strip(_EDGES):
        return text
    after = said[found[-1].end() :].lstrip()
    return _without_lead(after.partition("\n")[2].strip(_EDGES))


def _without_lead(text: str) -> str:
    lead = _LEAD.match(text)
    return text[lead.end() :].lstrip() if lead else text

"""Keeps what others wrote from passing as the prompt's own frame or as the judge's answer.

A shown text stands between `<text N>` and `</text N>`, and a verdict under `#### Output for
Text N`. Inside foreign text, and only there, the `<` of such a tag becomes `‹`, and a line that is
such a heading gets `> ` before it, which the reader of answers takes for a quotation. Where a
rubric is answered with another mark (`[RESULT]`, `Overall Score:`, `<correctness>`), the last
character of such a mark becomes `›` (or is followed by it, where it is a letter). All else stays
as it was, to the byte.
"""

import re
from typing import Final

_GAP: Final = r"[\s\u200b-\u200d\u2060\ufeff]*+"
_TAG: Final = re.compile(
    rf"<(?={_GAP}(?:/{_GAP})?text[\s\u200b-\u200d\u2060\ufeff_#\-]*+(?:\d++|[ab]){_GAP}/?>)",
    re.IGNORECASE,
)
_SECTION: Final = re.compile(
    rf"<(?={_GAP}(?:/{_GAP})?(?:instruction|conversation|reference){_GAP}>)", re.IGNORECASE
)

_BREAKS: Final = r"\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
_HEADING: Final = re.compile(
    rf"(?:\A|(?<=[{_BREAKS}]))(?![^\S{_BREAKS}]*>)"
    rf"(?=[^\w{_BREAKS}]*+(?:\d{{1,3}}[.)][^\w{_BREAKS}]*+)?output\s{{1,8}}for\s{{1,8}}(?:the\s{{1,8}})?[^\w{_BREAKS}]*+text)",
    re.IGNORECASE,
)


_PHRASE: Final = re.compile(r"output\s{1,8}for\s")
"""What every heading holds: in lower case, it is found without looking at every letter."""


def defused(text: str) -> str:
    """A candidate's text as a judge may be shown it: the same text, unless it holds a fence or
    an answer heading. Linear; doing it twice changes nothing more."""
    if "<" in text:
        text = _TAG.sub("‹", text)
    lower = text.lower()
    return _HEADING.sub("> ", text) if "output" in lower and _PHRASE.search(lower) else text


def unmarked(text: str, mark: re.Pattern[str]) -> str:
    """The text without anything that could be taken for the mark of an answer."""
    return mark.sub(_broken, text)


def _broken(mark: re.Match[str]) -> str:
    said = mark[0]
    return f"{said}›" if said[-1].isalnum() or said[-1].isspace() else f"{said[:-1]}›"


def defused_section(text: str) -> str:
    """The same for an instruction, a turn or a reference, which stand in sections of their own:
    `<instruction>`, `<conversation>` and `<reference>` lose their `<` as well."""
    text = defused(text)
    return _SECTION.sub("‹", text) if "<" in text else text

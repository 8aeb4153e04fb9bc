"""Which lines of a judge's answer are labels (`#### Output for Text 2`) and which are fields.

A label or a field is a line of its own, however it is decorated: bold, bulleted, numbered, a
heading, indented, in any case, with an ASCII or a full-width colon. What stands inside a line of
prose, behind `>` or in quotation marks is prose. No pattern backtracks over more than one run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

_LEAD: Final = r"[\s#*_\-+•·(\[{<\ufeff\u200b]*+(?:\d{1,3}[.)]\s*+[*_\[(<]*+)?"
_CLOSERS: Final = " \t>])}*_\"'`"
_SPLIT: Final = re.compile(r"(?:\.?\s*(?:[:：=]|[-–—](?=\s)|$)|\.\s)[\s*_]*+")
_BARE: Final = re.compile(
    r"[\"'\[(]*\d+(?:\.\d+)?(?:\s*/\s*\d+)?[\s*_\"'\])]*\.?|n/a[\s*_]*", re.IGNORECASE
)
_SHORT: Final = 32
"""Most lines up to so many characters (`Rating: 4`) come again and again: they are remembered."""
_REMEMBERED: Final = 4096
_ON_ONE_LINE: Final = 3
"""Fields that can share a line: `Type: …, Rating: …, Rationale: …`."""
_MARKS: Final = " \t\r\n*_"
_HEADING: Final = re.compile(r"\s*(#+)")


class Field(NamedTuple):
    """One field of a block: `about` is the kind a rationale says it is for, or empty."""

    kind: str
    about: str
    value: str


@dataclass(frozen=True, slots=True)
class Label:
    """The start of a text's block, with the fields that stand on the same line."""

    number: int
    level: int
    fields: tuple[Field, ...] = ()


def heading_level(line: str) -> int:
    """How many `#` a line starts with."""
    found = _HEADING.match(line)
    return len(found[1]) if found else 0


@dataclass(frozen=True, eq=False)
class Grammar:
    """The fields of a layout: kind → the words that may head it; `rating` and `rationale` are
    among them. `prefixes` may stand before a word: `Overall Rating`. `noun` is what labels count.
    """

    words: dict[str, tuple[str, ...]]
    prefixes: tuple[str, ...] = ()
    noun: str = "text"
    _known: dict[str, Label | tuple[Field, ...] | None] = field(default_factory=dict[str, Any])

    def read(self, line: str) -> Label | tuple[Field, ...] | None:
        """The line as a label, as the fields on it, or None for prose."""
        if len(line) > _SHORT:
            head, colon, value = line.partition(": ")
            if colon and self._kinds.get(head.lower()) == "rationale":
                return (Field("rationale", "", value.strip(_MARKS)),)
            return self._match(line)
        if line not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[line] = self._match(line)
        return self._known[line]

    def _match(self, line: str) -> Label | tuple[Field, ...] | None:
        found = self._line.match(line)
        if found is None or line.replace(" ", "").isalpha():
            return (
                None  # a word alone, `rating`, is prose; with a colon, bold or # it heads a field
            )
        return self._label(line, found) if found["label"] else tuple(self._fields(found))

    def _fields(self, found: re.Match[str]) -> Iterator[Field]:
        """The field that heads a line, and those that follow on it: `Rating: 4. Rationale: …`.

        A rationale is free text to the end of its line."""
        follows: re.Match[str] | None = found
        for _ in range(_ON_ONE_LINE):
            if follows is None or not follows["field"]:
                break
            kind, value = self._kinds[follows["field"].lower()], follows["value"]
            about = self._kinds.get((follows["about"] or "").lower(), "")
            more = None if kind == "rationale" else self._inline.search(value)
            yield Field(kind, about, value[: more.start() if more else None].strip(_MARKS))
            follows = self._line.match(value[more.start() :]) if more else None

    def _label(self, line: str, found: re.Match[str]) -> Label | None:
        """A label if nothing else stands on the line, or a field, or a bare rating, or if it is
        a heading that names no other text."""
        level, number = heading_level(line), int(found["label"])
        rest = found["after"].lstrip(_CLOSERS)
        split = _SPLIT.match(rest)
        value = rest[split.end() :] if split else rest
        if not value or (rest.startswith("(") and not split):
            return Label(number, level)
        fields = self._after(found, value) if split else ()
        if fields or (level and not self._several.search(rest)):
            return Label(number, level, fields)
        return None

    def _after(self, found: re.Match[str], value: str) -> tuple[Field, ...]:
        """The fields behind a label: `Rating for Text 1: 4`, `Text 1: Rating: 4`, `Text 1: 4`."""
        kind = self._kinds.get((found["of"] or "").lower())
        if kind:
            return (Field(kind, "", value),)
        inner = self._line.match(value)
        if inner and inner["field"]:
            return tuple(self._fields(inner))
        return (Field("rating", "", value),) if _BARE.fullmatch(value) else ()

    @cached_property
    def _kinds(self) -> dict[str, str]:
        return {word: kind for kind, words in self.words.items() for word in words}

    @cached_property
    def _line(self) -> re.Pattern[str]:
        noun = re.escape(self.noun)
        words = "|".join(map(re.escape, self._kinds))
        prefixes = "|".join(map(re.escape, ("overall", "final", *self.prefixes)))
        label = (
            r"(?:(?P<of>[a-z]+)\s+(?:for|of|on)\s+(?:the\s+)?[*_<\[(\"']*+)?"
            rf"{noun}[\s#_\-(*]*+(?:(?:number|nr|no)\b\.?\s*+)?"
            r"(?P<label>\d{1,4})(?!\w|\.\d)(?P<after>.*)"
        )
        about = rf"(?:\s+for\s+(?:the\s+)?(?P<about>{words}))?(?:\s*\([^()]{{0,40}}\))?[*_\])]*+"
        separator = r"(?:\s*[:：=][\s*_]*+|\s*[-–—]\s+|\s*$|\s+(?=[-+]?\d+(?:\.\d+)?\W*$))"
        field = rf"(?:(?:{prefixes})\s+)?(?P<field>{words}){about}{separator}(?P<value>.*)"
        return re.compile(rf"{_LEAD}(?:{label}|{field})", re.IGNORECASE | re.DOTALL)

    @cached_property
    def _inline(self) -> re.Pattern[str]:
        words = "|".join(map(re.escape, self._kinds))
        return re.compile(
            rf"(?<=[\s,;.|])(?:\*\*)?(?:{words})(?:\s+for\s+\w+)?(?:\*\*)?\s?[:：]", re.IGNORECASE
        )

    @cached_property
    def _several(self) -> re.Pattern[str]:
        return re.compile(
            rf"\b{re.escape(self.noun)}s?\W{{0,3}}\d|^\W{{0,9}}(?:and|to|or|vs)?\W{{0,9}}\d",
            re.IGNORECASE,
        )

"""Cuts a judge's answer into blocks, one from each label to the next, and those into passages.

Comes in: the text and a grammar. Never does: count on the order of blocks, or look at a rating.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from prefmill.judge.rubrics.grammar import Field, Grammar, Label, heading_level

LOOSE: Final = ""
"""The kind of a passage that stands under no field."""

_THOUGHTS: Final = "(?:think|thinking|thoughts?|reasoning|reflection|scratchpad)"
_OPENED: Final = re.compile(rf"^[ \t]*<{_THOUGHTS}>", re.IGNORECASE | re.MULTILINE)
_CLOSED: Final = re.compile(rf"</{_THOUGHTS}>", re.IGNORECASE)
_CLOSED_ALONE: Final = re.compile(
    rf"^[ \t]*</{_THOUGHTS}>|</{_THOUGHTS}>[ \t]*$", re.IGNORECASE | re.MULTILINE
)
_RULE: Final = " \t-*_=–—~"


def without_thoughts(answer: str) -> str:
    """The answer without `<think>…</think>`, also where one tag of the pair is missing: what was
    never closed is all thought, and what was never opened was opened by the chat template."""
    if "<" not in answer:
        return answer
    kept: list[str] = []
    position = 0
    while opened := _OPENED.search(answer, position):
        kept.append(answer[position : opened.start()])
        closed = _CLOSED.search(answer, opened.end())
        position = closed.end() if closed else len(answer)
    text = "".join((*kept, answer[position:]))
    ends = [alone.end() for alone in _CLOSED_ALONE.finditer(text)]
    return text[ends[-1] :] if ends else text


@dataclass(slots=True)
class Passage:
    """A field with the lines that follow it; `about` is what a rationale says it is for."""

    kind: str
    about: str = ""
    lines: list[str] = field(default_factory=list[str])

    @property
    def text(self) -> str:
        """The lines as they were, without blank ones around them."""
        lines = self.lines
        return (lines[0] if len(lines) == 1 else "\n".join(lines)).strip()


@dataclass(slots=True)
class Block:
    """What follows one label. `level` is that of its heading, 0 where it is none."""

    label: int
    level: int
    passages: list[Passage] = field(default_factory=list[Passage])


def cut(answer: str, grammar: Grammar, texts: int) -> list[Block]:
    """The blocks in the answer's order, repeated and unknown labels and all. Where one text was
    shown, its label may be missing: its block is open from the start."""
    cutter, read = _Cutter(always_open=texts == 1), grammar.read
    for line in answer.splitlines():
        found = read(line) if line else None
        if not line:
            cutter.prose(line)
        elif found is None:
            cutter.other(line)
        elif isinstance(found, Label):
            cutter.label(found)
        elif cutter.quoting:
            cutter.prose(line)
        else:
            cutter.fields(found)
    return cutter.blocks


class _Cutter:
    """Where the cutting stands: the open block and passage, and the code fences around them."""

    def __init__(self, always_open: bool) -> None:
        self.blocks: list[Block] = []
        self.quoting = False
        """Inside a code fence that opened within a rationale: what is quoted is no field."""
        self._always_open = always_open
        self._fenced = False
        self._block: Block | None = None
        self._passage: Passage | None = None
        if always_open:
            self.label(Label(1, 0))

    def label(self, label: Label) -> None:
        self.quoting = False
        self._block = Block(label.number, label.level)
        self.blocks.append(self._block)
        self._start(Passage(LOOSE, "", []))
        if label.fields:
            self.fields(label.fields)

    def fields(self, fields: tuple[Field, ...]) -> None:
        for kind, about, value in fields:
            self._start(Passage(kind, about, [value]))

    def prose(self, line: str) -> None:
        if self._passage is not None:
            self._passage.lines.append(line)

    def other(self, line: str) -> None:
        """A code fence, a heading, a rule, or prose."""
        stripped = line.strip()
        if len(stripped) < 3:
            self.prose(line)
        elif stripped.startswith(("```", "~~~")):
            self._fence(line)
        elif self.quoting:
            self.prose(line)
        elif stripped[0] == "#" and stripped.lstrip("#")[:1] in ("", " ", "\t"):
            self._heading(heading_level(line), line)
        elif not stripped.strip(_RULE) or stripped.startswith("</"):
            self._passage = None
        else:
            self.prose(line)

    def _start(self, passage: Passage) -> None:
        if self._block is not None:
            self._passage = passage
            self._block.passages.append(passage)

    def _fence(self, line: str) -> None:
        if self.quoting:
            self.prose(line)
            self.quoting = False
        elif self._fenced:
            self._fenced, self._passage = False, None
        elif self._passage is not None and self._passage.kind == "rationale":
            self.prose(line)
            self.quoting = True
        else:
            self._fenced = True

    def _heading(self, level: int, line: str) -> None:
        """A heading below the label's belongs to the block; any other ends it, so that what
        stands under `### Overall` is not taken for the last text's."""
        if self._block is None:
            return
        if level > self._block.level > 0:
            self.prose(line)
        elif self._always_open:
            self._start(Passage(LOOSE))
        else:
            self._block = self._passage = None

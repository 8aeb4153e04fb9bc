"""Answers with a tag per value: `<correctness>3</correctness>`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from prefmill.judge.rubrics.marked import spoken, value_behind
from prefmill.judge.rubrics.stated import Stated


@dataclass(frozen=True, eq=False)
class Tags:
    """The values of tags by name. A tag that was never closed ends where the next one opens; a
    name without any tag may head a line instead (`- **Correctness:** 3`)."""

    names: tuple[str, ...]

    def values(self, body: str) -> dict[str, list[str]]:
        """Name → what its tags hold, in the answer's order; names without a value are left out."""
        for said in spoken(body) if self.names else ():
            if found := self._tagged(said) or self._headed(said):
                return found
        return {}

    def _tagged(self, said: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        opened: list[tuple[str, int]] = []
        for tag in self._tag.finditer(said):
            name = self._plain[_plain(tag["name"])]
            if opened:
                last, start = opened.pop()
                found.setdefault(last, []).append(said[start : tag.start()].strip())
            if not tag["close"]:
                opened.append((name, tag.end()))
        if opened:
            last, start = opened.pop()
            found.setdefault(last, []).append(said[start:].strip())
        return found

    def _headed(self, said: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for line in self._line.finditer(said):
            name = self._plain[_plain(line["name"])]
            found.setdefault(name, []).append(value_behind(said, line.end()))
        return found

    @cached_property
    def _plain(self) -> dict[str, str]:
        return {_plain(name): name for name in self.names}

    @cached_property
    def _names(self) -> str:
        longest = sorted(self.names, key=len, reverse=True)
        return "|".join(
            re.sub(r"[-_ ]+", r"[-_ ]?", re.escape(n).replace("\\", "")) for n in longest
        )

    @cached_property
    def _tag(self) -> re.Pattern[str]:
        return re.compile(
            rf"<[\s*]{{0,4}}(?P<close>/?)\s{{0,4}}(?P<name>{self._names})\s{{0,4}}>", re.IGNORECASE
        )

    @cached_property
    def _line(self) -> re.Pattern[str]:
        return re.compile(
            rf"^[ \t#*_\-+•\d.)]{{0,12}}(?P<name>{self._names})[ \t*_]{{0,6}}[:：=]",
            re.IGNORECASE | re.MULTILINE,
        )


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).casefold()


@dataclass(frozen=True, eq=False)
class TaggedTexts:
    """`<rating>` and `<rationale>` of one text, or `<rating_2>` and `<rationale_2>` of several."""

    rating: str = "rating"
    rationale: str = "rationale"

    def __call__(self, body: str, texts: int) -> dict[int, list[Stated]]:
        """What the tags of each text hold."""
        found = _tags_of(self.rating, self.rationale, texts).values(body)
        stated: dict[int, list[Stated]] = {}
        for n in range(1, texts + 1):
            ratings = self._of(found, self.rating, n, texts)
            rationales = self._of(found, self.rationale, n, texts)
            if ratings or rationales:
                stated[n] = [Stated(ratings=list(ratings), rationale="\n\n".join(rationales))]
        return stated

    def _of(self, found: dict[str, list[str]], name: str, n: int, texts: int) -> Sequence[str]:
        return [*found.get(f"{name}_{n}", ()), *(found.get(name, ()) if texts == 1 else ())]


def _tags_of(rating: str, rationale: str, texts: int) -> Tags:
    numbered = [f"{name}_{n}" for n in range(1, texts + 1) for name in (rating, rationale)]
    return Tags((*numbered, *((rating, rationale) if texts == 1 else ())))

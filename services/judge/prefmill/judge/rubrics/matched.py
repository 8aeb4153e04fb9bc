"""Answers read by a user's own regular expression, in time proportional to their length (RE2)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from prefmill.judge.rubrics.marked import spoken
from prefmill.judge.rubrics.stated import Stated


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:
    """ValueError if RE2 does not know the pattern's syntax."""
    import re2  # pyright: ignore[reportMissingTypeStubs]

    engine: Any = re2
    options = engine.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return engine.compile(pattern, options)
    except engine.error as error:
        said: Any = error.args[0] if error.args else ""
        words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"pattern: {words}") from error


def checked_pattern(pattern: str, *, several: bool) -> None:
    """ValueError if it is no regular expression of RE2, or lacks a group that is needed."""
    try:
        groups: dict[str, int] = dict(_compiled(pattern).groupindex)
    except ValueError as error:
        raise ValueError(f"{error} (RE2's syntax: no look-around, no back-references)") from error
    for name in ("rating", *(("text",) if several else ())):
        if name not in groups:
            raise ValueError(f"pattern: has no group (?P<{name}>…)")


@dataclass(frozen=True, eq=False)
class Matched:
    """Each match states a rating (group `rating`), perhaps a rationale, of text `text`."""

    pattern: str

    def __call__(self, body: str, texts: int) -> dict[int, list[Stated]]:
        """What all matches state, by the number of their text; 1 where the pattern has none."""
        for said in spoken(body):
            stated: dict[int, list[Stated]] = {}
            for match in _compiled(self.pattern).finditer(_encodable(said)):
                groups: dict[str, str | None] = match.groupdict()
                number = _number(groups.get("text", "1"))
                rating = [groups["rating"]] if groups["rating"] is not None else []
                one = Stated(ratings=[*rating], rationale=groups.get("rationale") or "")
                stated.setdefault(number, []).append(one)
            if stated:
                return stated
        return {}


def _encodable(text: str) -> str:
    """RE2 sees UTF-8, which has no lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _number(text: str | None) -> int:
    """The number of a text; 0, which is none, for what is no number."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 5 else 0

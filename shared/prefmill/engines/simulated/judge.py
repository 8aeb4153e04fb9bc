"""A simulated judge: finds the texts in a judge's prompt and rates each by its quality."""

import re
from dataclasses import dataclass
from typing import Final

from prefmill.engines.simulated.asked import Asked
from prefmill.engines.simulated.chance import draw
from prefmill.engines.simulated.quality import fingerprint_of, quality_of
from prefmill.engines.simulated.verdicts import Verdict

_OUTPUT: Final = re.compile(r"^(?:#{1,4} *(?:Your )?(?:Output|Annotation)\b|---+ *$)", re.MULTILINE)
_JUDGING: Final = ("Aspect:", "Rating", "Output for Text")
_ASPECT: Final = re.compile(r"Aspect:[ *]*([^\n]+)")
_TYPED: Final = frozenset({"truthfulness", "helpfulness"})

_RATIONALES: Final = (
    ("It misses what was asked.", "Hardly any of it can be used."),
    ("It touches on the request but leaves most of it open.", "Several points are wrong."),
    ("It covers part of the request and passes over the rest.", "It is middling throughout."),
    ("It covers nearly all of the request.", "It is good, with one small gap."),
    ("It does all that was asked.", "It is clear and complete."),
)
_TRUTHFULNESS: Final = (("1", "2", "3"), ("1", "3"), ("2",), ("1",), ())
_HELPFULNESS: Final = ((), (), ("1",), ("1", "2"), ("1", "2", "3"))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a judge's prompt shows: the texts, in order from 1, and what is judged."""

    texts: tuple[str, ...]
    aspect: str
    typed: bool


def shown_by(asked: Asked) -> Shown | None:
    """The texts that a judge's prompt shows; None if it is no judge's prompt.

    Texts stand between `<text N>` and `</text N>`, or, as in templates of UltraFeedback's own
    layout, after `<text N>` up to the next one."""
    prompt = asked.prompt
    if "<text 1>" not in prompt:
        return None
    system = asked.system
    if not asked.schema and not any(word in prompt or word in system for word in _JUDGING):
        return None
    aspect = _aspect_in(system) or _aspect_in(prompt)
    typed = aspect in _TYPED if aspect else "\nType: " in f"{system}\n{prompt}"
    return Shown(texts_in(prompt), aspect, typed)


def texts_in(prompt: str) -> tuple[str, ...]:
    """The texts from the last line that opens text 1: what stands before it is an example."""
    texts: list[str] = []
    at = _last_opening(prompt)
    while at >= 0:
        number = len(texts) + 1
        begin = at + len(f"<text {number}>")
        fence = prompt.find(f"</text {number}>", begin)
        at = _opening(prompt, number + 1, max(fence, begin))
        end = fence if fence >= 0 else at if at >= 0 else _end_of_last(prompt, begin)
        texts.append(prompt[begin:end].strip())
    return tuple(texts)


def _last_opening(prompt: str) -> int:
    at = prompt.rfind("<text 1>")
    while at >= 0 and not _opens_a_line(prompt, at):
        at = prompt.rfind("<text 1>", 0, at)
    return at


def _opening(prompt: str, number: int, begin: int) -> int:
    mark = f"<text {number}>"
    at = prompt.find(mark, begin)
    while at >= 0 and not _opens_a_line(prompt, at):
        at = prompt.find(mark, at + 1)
    return at


def _opens_a_line(prompt: str, at: int) -> bool:
    return not prompt[prompt.rfind("\n", 0, at) + 1 : at].strip()


def _end_of_last(prompt: str, begin: int) -> int:
    closings = [match.start() for match in _OUTPUT.finditer(prompt, begin)]
    return closings[-1] if closings else len(prompt)


def judge(shown: Shown, model: str) -> list[Verdict]:
    """One verdict per text, rated by its quality, whatever the aspect."""
    turn = draw(model, shown.aspect)
    return [_verdict(number, text, shown, turn) for number, text in enumerate(shown.texts, 1)]


def _verdict(number: int, text: str, shown: Shown, turn: int) -> Verdict:
    rating = quality_of(text)
    mark = fingerprint_of(text)
    first, second = _RATIONALES[rating - 1]
    if (turn ^ int(mark, 16)) & 1:
        first, second = second, first
    first, second = f"{first} [{mark}]", f"{second} [{mark}]"
    if not shown.typed:
        return Verdict(number, rating, first)
    table = _HELPFULNESS if shown.aspect == "helpfulness" else _TRUTHFULNESS
    return Verdict(number, rating, first, table[rating - 1], second)


def _aspect_in(text: str) -> str:
    found = _ASPECT.search(text)
    return found[1].strip(" .*").lower().replace(" ", "-") if found else ""

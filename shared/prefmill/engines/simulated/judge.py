"""A simulated judge: finds the texts in a judge's prompt and rates each by its quality."""

import re
from dataclasses import dataclass
from typing import Final

from prefmill.engines.simulated.asked import Asked
from prefmill.engines.simulated.chance import draw
from prefmill.engines.simulated.layouts import (
    USUAL,
    Layout,
    Scale,
    blocks_scale,
    layout_in,
    scaled,
)
from prefmill.engines.simulated.quality import fingerprint_of, quality_of
from prefmill.engines.simulated.verdicts import Verdict

_OUTPUT: Final = re.compile(r"^(?:#{1,4} *(?:Your )?(?:Output|Annotation)\b|---+ *$)", re.MULTILINE)
_JUDGING: Final = ("Aspect:", "Rating", "Output for Text")
_FENCE: Final = re.compile(r"</text (?:\d+|[AB])>")
_PAIR: Final = re.compile(r"^<text ([AB])>$(.*?)^</text \1>$", re.MULTILINE | re.DOTALL)
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
    """What a judge's prompt shows: the texts, in order from 1, what is judged, and the layout of
    the answer; None for blocks, whose ratings are of `scale`."""

    texts: tuple[str, ...]
    aspect: str
    typed: bool
    layout: Layout | None = None
    scale: Scale = USUAL


def shown_by(asked: Asked) -> Shown | None:
    """The texts that a judge's prompt shows; None if it is no judge's prompt.

    Texts stand between `<text N>` and `</text N>`, or, as in templates of UltraFeedback's own
    layout, after `<text N>` up to the next one."""
    prompt = asked.prompt
    if "<text 1>" not in prompt and "<text A>" not in prompt:
        return None
    system, texts = asked.system, texts_in(prompt) or pair_in(prompt)
    frame = _frame(prompt)
    layout = layout_in(f"{system}\n{frame}")
    if not (asked.schema or layout or any(word in prompt or word in system for word in _JUDGING)):
        return None
    aspect = _aspect_in(system) or _aspect_in(frame)
    typed = aspect in _TYPED if aspect else "\nType: " in f"{system}\n{prompt}"
    scale = _scale_of(layout, f"{system}\n{frame}")
    return Shown(texts, aspect, typed, layout, scale)


def _scale_of(layout: Layout | None, frame: str) -> Scale:
    if layout is None:
        return blocks_scale(frame)
    ranges = [holds for _, holds in layout.tags if not isinstance(holds, str)]
    return layout.scale or USUAL if not ranges else ranges[0]


def _frame(prompt: str) -> str:
    """The prompt without its texts, where they stand between fences; else all of it."""
    first = min((at for at in map(prompt.find, ("<text 1>", "<text A>")) if at >= 0), default=0)
    fences = list(_FENCE.finditer(prompt))
    return prompt[:first] + prompt[fences[-1].end() :] if fences else prompt


def pair_in(prompt: str) -> tuple[str, ...]:
    """The texts between `<text A>` and `</text A>`, and the same with B."""
    return tuple(match[2].strip() for match in _PAIR.finditer(prompt))


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
    quality = quality_of(text)
    rating = int(scaled(quality, shown.scale))
    mark = fingerprint_of(text)
    first, second = _RATIONALES[quality - 1]
    if (turn ^ int(mark, 16)) & 1:
        first, second = second, first
    first, second = f"{first} [{mark}]", f"{second} [{mark}]"
    if not shown.typed:
        return Verdict(number, rating, first, quality=quality)
    table = _HELPFULNESS if shown.aspect == "helpfulness" else _TRUTHFULNESS
    return Verdict(number, rating, first, table[quality - 1], second, quality)


def _aspect_in(text: str) -> str:
    found = _ASPECT.search(text)
    return found[1].strip(" .*").lower().replace(" ", "-") if found else ""

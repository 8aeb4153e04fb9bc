"""A simulated answer to an ordinary prompt: a few plain sentences about it, and its quality."""

import math
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from prefmill.engines.simulated.quality import marker, normal, quality_at

_DULL: Final = frozenset(
    ["about", "answer", "been", "could", "does", "each", "explain", "from", "give", "have", "into",
     "list", "make", "many", "more", "most", "please", "should", "some", "tell", "than", "that",
     "their", "them", "then", "there", "these", "they", "this", "those", "through", "used", "using",
     "very", "what", "when", "where", "which", "will", "with", "would", "write", "your"]
)  # fmt: skip
_SENTENCES: Final = (
    "The short answer is that {a} depends on {b} more than most people expect.",
    "It helps to look at {a} first, because everything else follows from it.",
    "A good starting point is to separate {a} from {b} and treat them one by one.",
    "Experience shows that {b} changes slowly, while {a} can shift within days.",
    "There are two common views of {a}, and both have something to offer.",
    "In practice, {b} matters less than the care with which it is handled.",
    "One example makes it plain, since {a} without {b} rarely lasts.",
    "Those who work with {a} every day tend to agree on this point.",
    "It is worth checking the facts about {b} before going any further.",
    "Nothing here is certain, yet the case for {a} is the stronger one.",
    "The usual mistake is to begin with {b} and to forget why {a} came up at all.",
    "Seen from a distance, {a} and {b} are two sides of one question.",
    "A simple plan would be to write down what {a} needs and to cross out the rest.",
    "Costs are modest as long as {b} is kept in mind from the beginning.",
    "Some sources say otherwise, but they speak of {b} under different conditions.",
    "With a little patience, {a} turns out to be easier than it sounds.",
    "The same holds for {b}, though the reasons are not the same.",
    "To sum up, keep {a} simple and let {b} follow from it.",
    "Ask what {a} is for, and the choice nearly makes itself.",
    "History offers a few hints, most of them about {b} rather than {a}.",
)
_OPENINGS: Final = (
    "This is a question about {a} and, in part, about {b}.",
    "Let us take {a} as it stands and see what {b} adds to it.",
    "Much has been said about {a}, and a good deal less about {b}.",
    "Here is one way to think about {a} when {b} is involved.",
)


_STRIDES: Final = (3, 7, 9, 11, 13, 17, 19)
"""Steps through the sentences that meet each once: none divides 20."""


@lru_cache(maxsize=1024)
def topics_of(prompt: str) -> tuple[str, ...]:
    """Up to six telling words from the beginning of the prompt, in its order."""
    words = prompt[:200].lower().split()
    telling = [word for word in words if 3 < len(word) < 15 and word.isalpha()]
    found = tuple(dict.fromkeys([word for word in telling if word not in _DULL]))
    return found[:6] or ("the question", "its context")


def write_answer(
    prompt: str, number: int, mean: float, spread: float, max_tokens: int | None
) -> str:
    """About 20 to 120 words on the prompt, closed by the marker of a quality around `mean`;
    fewer where `max_tokens` (of four characters) leaves no room. `number` decides everything."""
    dice = blake2b(number.to_bytes(8)).digest()
    quality = quality_at(int.from_bytes(dice[:4]) / 2**32, mean, spread)
    length = math.exp(math.log(55) + 0.5 * normal(int.from_bytes(dice[4:8]) / 2**32))
    closing = marker(quality)
    room = 4 * (max_tokens or 1_000_000) - len(closing) - 2
    words = min(120, max(20, int(length)))
    return "\n\n".join([*_paragraphs(topics_of(prompt), words, room, dice[8:]), closing])


def _paragraphs(topics: tuple[str, ...], words: int, room: int, dice: bytes) -> list[str]:
    """Sentences of about so many words in all, at most `room` characters, four a paragraph."""
    sentences: list[str] = []
    at, stride = dice[0], _STRIDES[dice[1] % len(_STRIDES)]
    template = _OPENINGS[dice[2] % len(_OPENINGS)]
    for throw in range(3, 3 + 2 * len(_SENTENCES), 2):
        a, b = topics[dice[throw] % len(topics)], topics[dice[throw + 1] % len(topics)]
        sentence = template.format(a=a, b=b)
        words -= sentence.count(" ") + 1
        room -= len(sentence) + 2
        if room < 0:
            break
        sentences.append(sentence)
        if words <= 5:
            break
        at += stride
        template = _SENTENCES[at % len(_SENTENCES)]
    return [" ".join(sentences[at : at + 4]) for at in range(0, len(sentences), 4)]

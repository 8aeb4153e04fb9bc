"""What one block of an answer states about one text, whether it came as text or as JSON."""

from dataclasses import dataclass, field

from prefmill.judge.rubrics.blocks import Block, Passage


@dataclass(slots=True)
class Stated:
    """Values as written: text, or what JSON holds. Empty rationales are empty strings."""

    ratings: list[object] = field(default_factory=list[object])
    types: list[object] = field(default_factory=list[object])
    rationale: str = ""
    rationale_for_rating: str = ""


def stated_in(block: Block, typed: bool) -> Stated:
    """A block's fields. With types, a rationale is for the rating where it says so or where it
    follows the rating; a passage under no `Rationale:` stands in for one that is missing."""
    stated, after = Stated(), ""
    labelled: list[tuple[bool, str]] = []
    loose: list[tuple[bool, str]] = []
    for passage in block.passages:
        kind = passage.kind
        if kind in ("rating", "types"):
            after = kind
        for_rating = typed and (passage.about or after) == "rating"
        if kind == "rationale":
            labelled.append((for_rating, passage.text))
        elif text := passage.text:
            rest = _take(passage, text, stated) if kind else text
            loose.append((for_rating, rest))
    stated.rationale = _joined(labelled, False) or _joined(loose, False)
    if typed:
        stated.rationale_for_rating = _joined(labelled, True) or _joined(loose, True)
    return stated


def _take(passage: Passage, text: str, stated: Stated) -> str:
    """Takes the value, the first line that is not blank, and returns the prose that follows it.
    Types below their field may be a list of several lines, a bullet each."""
    head, _, rest = text.partition("\n")
    if passage.kind == "rating":
        stated.ratings.append(head)
    elif passage.lines[0]:
        stated.types.append(head)
    else:
        stated.types.append(text)
        return ""
    return rest.strip()


def _joined(parts: list[tuple[bool, str]], for_rating: bool) -> str:
    if not parts:
        return ""
    return "\n\n".join([text for about, text in parts if text and about is for_rating])


def storable(text: str) -> str:
    """JSON escapes can hold what neither Postgres nor UTF-8 can: NUL and lone surrogates."""
    text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()

"""Frames: what a template makes of a row, with gaps for the texts that it only passes on.

Most of a prompt is the same for all rows. Where a template prints `instruction` and `generations`
as they are and asks nothing of them, it is rendered once for each set of its other variables, with
a mark in each gap; a row's own texts are then put in. All other templates are rendered each time.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import nodes

_PASSED_ON: Final = frozenset({"instruction", "generations"})
_EMPTY: Final = "nothing in it"
_PLAIN: Final = (nodes.Output, nodes.For, nodes.If, nodes.Assign)
"""Statements that print, or choose what is printed; others (macros, filters of whole blocks)
could alter what stands in a gap."""

_MARK: Final = secrets.token_hex(8)
"""Unknown to whoever writes templates and texts."""
_GAP: Final = re.compile(rf"{_MARK}(\d+|i);")


def passes_on(template: nodes.Template) -> bool:
    """Whether the template does nothing with instruction and generations but to print them, one
    generation at a time."""
    if not all(isinstance(found, _PLAIN) for found in template.find_all(nodes.Stmt)):
        return False
    printed = [part for found in template.find_all(nodes.Output) for part in found.nodes]
    passed = {id(_named(part)) for part in printed}
    used = [name for name in template.find_all(nodes.Name) if name.name in _PASSED_ON]
    return all(id(name) in passed for name in used)


def _named(printed: nodes.Expr) -> nodes.Expr | None:
    """What `{{ instruction }}` and `{{ generations[…] }}` name; None for all else."""
    match printed:
        case nodes.Name(name="instruction"):
            return printed
        case nodes.Getitem(node=nodes.Name(name="generations"), arg=arg):
            return None if isinstance(arg, nodes.Slice) else printed.node
        case _:
            return None


def key_of(names: tuple[str, ...], values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What a frame depends on: how many generations there are, and the values of these variables.
    None for a row whose history or reference is not empty, as its prompt is its own, and where a
    variable is missing."""
    if "instruction" not in values or "generations" not in values:
        return None
    key: list[Any] = [len(values["generations"])]
    for name in names:
        if name not in values:
            return None
        value = values[name]
        if not isinstance(value, (list, dict)):
            key.append(value)
        elif value:
            return None
        else:
            key.append(_EMPTY)
    return tuple(key)


def others(names: frozenset[str]) -> tuple[str, ...]:
    """The variables that a frame depends on."""
    return tuple(sorted(names.difference(_PASSED_ON)))


def marked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with marks in place of the texts that are passed on."""
    texts = [f"{_MARK}{place};" for place in range(len(values["generations"]))]
    return {**values, "instruction": f"{_MARK}i;", "generations": texts}


class Frame:
    """A prompt with gaps, made from what was rendered with marks."""

    def __init__(self, rendered: str) -> None:
        pieces = _GAP.split(rendered)
        self._pieces = pieces
        self._gaps = [
            (place, -1 if mark == "i" else int(mark))
            for place, mark in enumerate(pieces)
            if place % 2
        ]

    def filled(self, values: Mapping[str, Any]) -> str:
        """The prompt of a row."""
        pieces, texts = self._pieces.copy(), values["generations"]
        for place, index in self._gaps:
            pieces[place] = texts[index] if index >= 0 else values["instruction"]
        return "".join(pieces)

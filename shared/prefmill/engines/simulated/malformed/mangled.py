"""Malformed answers that are no blocks: the same ways to leave a layout, for any layout.

Each is given how the judge's answer is written (`""` for its own values) and how one with other
values would be. The names are those of the forms of blocks, so that one fault asks for both.
"""

from collections.abc import Callable
from typing import Final

from prefmill.engines.simulated.layouts import Say

Mangle = Callable[[Say, Say], str]

MANGLED: Final[dict[str, Mangle]] = {
    "preamble": lambda meant, _: f"Sure, here is my assessment.\n\n{meant('')}",
    "closing": lambda meant, _: f"{meant('')}\n\n---\n\nI hope this assessment helps.",
    "think": lambda meant, _: f"<think>\nI look at it twice.\n\nDone.\n</think>\n\n{meant('')}",
    "think-draft": lambda meant, other: f"<think>\n{other('')}\n</think>\n\n{meant('')}",
    "crlf": lambda meant, _: meant("").replace("\n", "\r\n"),
    "code-fence": lambda meant, _: f"```\n{meant('')}\n```",
    "lower-case": lambda meant, _: meant("").lower(),
    "full-width-colon": lambda meant, _: meant("").replace(": ", "\N{FULLWIDTH COLON}"),
    "indented": lambda meant, _: "    " + meant("").replace("\n", "\n    "),
    "contradicted": lambda meant, other: f"{meant('')}\n\nOn reflection:\n\n{other('')}",
    "negative": lambda meant, _: meant("-1"),
    "none-dot": lambda meant, _: meant("None."),
    "prose": lambda _, __: "I have read it with care, and it has its strong points.",
}

RECOVERED: Final = frozenset(MANGLED) - {"contradicted", "negative", "none-dot", "prose"}
"""Those whose rating a reader must find; the others hold none."""

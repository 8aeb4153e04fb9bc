"""Secrets never stand in a recipe: recipes are stored, shown and shared."""

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from prefmill.cli.recipes.document import Path

_NAMES: Final = re.compile(
    r"(?:[a-z]+[_-])*(?:api[_-]?key|apikey|secret|secret[_-]key|password|passwd)"
    r"|(?:hf|auth|access|bearer|api)[_-]?token|token|authorization|proxy-authorization"
)
_VALUES: Final = re.compile(r"(?:Bearer\s+)?(?:sk-[\w-]{16,}|hf_\w{20,})")
_IN_URL: Final = re.compile(r"\w+://[^/\s:@]+:[^/\s@]+@")
_TEXTS: Final = (("generate", "system"),)
_DATA: Final = ("columns", "inline", "wordings")
"""What is text or data, not options."""


def secrets_in(value: Any) -> list[str]:
    """A problem for everything that is, or looks like, a secret; never the secret itself."""
    return [
        f"{'.'.join(map(str, path))}: {why}" for path, why in _found(value, ()) if why is not None
    ]


def _found(value: Any, path: Path) -> Iterator[tuple[Path, str | None]]:
    if path[:2] in _TEXTS or (path and path[-1] in _DATA):
        return
    if isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            yield from _found(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[Any]", value)):
            yield from _found(inner, (*path, index))
    elif isinstance(value, str):
        yield path, _why(path, value)


def _why(path: Path, value: str) -> str | None:
    if "$" in value:  # filled from the environment: `Bearer $MY_KEY`
        return None
    if path and _NAMES.fullmatch(str(path[-1]).lower()):
        return f"a recipe holds no secrets; {_instead(path)}"
    if _VALUES.fullmatch(value.strip()):
        return f"this looks like a key, and a recipe holds no secrets; {_instead(path)}"
    if _IN_URL.match(value):
        return f"this URL holds a password, and a recipe holds no secrets; {_instead(path)}"
    return None


def _instead(path: Path) -> str:
    if path[:1] in (("models",), ("judges",)):
        return (
            "put the key into the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY) or name its "
            "variable with `api_key_env: NAME`"
        )
    return "put it into the environment (HF_TOKEN for the Hub)"

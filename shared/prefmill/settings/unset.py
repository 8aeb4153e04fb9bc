"""Settings that name what is not there: a secret of the cluster that nobody made."""

import re
from collections.abc import Mapping
from typing import Final

_LEFT: Final = re.compile(r"\$\((\w+)\)")
"""What Kubernetes leaves of a variable within another one, if it is not set."""


class Misconfigured(Exception):
    """This process was given settings that it cannot serve with; the message says which."""


def unset(env: Mapping[str, str]) -> str:
    """Which setting holds what is not set, in one line; empty if none does."""
    for name in sorted(env):
        found = _LEFT.search(env[name]) if name.startswith("PREFMILL_") else None
        if found is not None and found[1] not in env:
            return (
                f"{name} is made of {found[1]}, which is not set: the secret that it comes from, "
                "or its key there, is missing"
            )
    return ""


def check(env: Mapping[str, str]) -> None:
    """Misconfigured if a setting holds what is not set."""
    if line := unset(env):
        raise Misconfigured(line)

"""Which Python runs, and whether it was built to be fast."""

import platform
import sys
import sysconfig
from typing import Final

_FLAG: Final = "--enable-optimizations"
_SYSTEM: Final = "/usr"
"""Where distributions put theirs: optimised, though Debian's does not tell so."""


def interpreter(
    built_with: str = str(sysconfig.get_config_var("CONFIG_ARGS")), prefix: str = sys.base_prefix
) -> str:
    """A line for the table's foot; `built_with` is what Python's `configure` was given. A plain
    build, which is pyenv's default, takes a fifth more time for the same work."""
    name = f"Python {platform.python_version()} of {prefix}"
    if _FLAG in built_with or prefix == _SYSTEM:
        return f"{name}, built with optimisation."
    return (
        f"{name}, built without {_FLAG}: every figure suffers. Take one that was, as those of "
        "distributions were: rm -r .venv && make install PYTHON=/usr/bin/python3"
    )

"""pyarrow with no more memory than writing needs."""

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from typing import Any


@cache
def lean_arrow() -> Any:
    """pyarrow, ready to make arrays.

    With its first array it looks for pandas, to know a Series when it sees one: where that is
    installed but not in use, nearly 50 MB and half a second for what no format gives. Who asks for
    `to_pandas` still gets it, and a plugin's pandas that is there already is known. Arrow's own
    allocator holds on to 10 MB more than the system's; its variable may still choose it.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import pyarrow as pa

    arrow: Any = pa
    with _not_found("pandas"):
        arrow.array([])
    return arrow


@contextmanager
def _not_found(name: str) -> Generator[None]:
    """A module that is not imported yet cannot be, in this thread."""
    finder = _Finder(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Refuses a module to the thread that made it."""

    def __init__(self, name: str) -> None:
        self._refused = name, threading.get_ident()

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Nothing: others find what is not refused."""
        if (fullname, threading.get_ident()) == self._refused:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

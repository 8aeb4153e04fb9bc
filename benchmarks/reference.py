"""How fast the machine is just now: the same small piece of Python work, wherever and whenever."""

import json
import time
from typing import Final

_DOCUMENT: Final = {"numbers": [1, 2, 3] * 20, "text": "x" * 400}


def reference_ms() -> float:
    """CPU milliseconds of the piece, the best of seven: it tells how figures of two runs, or of
    two machines, compare."""
    return min(_once() for _ in range(7))


def _once() -> float:
    started = time.process_time()
    total = 0
    for number in range(100_000):
        total += number
    for _ in range(1_000):
        json.loads(json.dumps(_DOCUMENT))
    return 1000 * (time.process_time() - started)

"""Which Python `make` takes: requirements/python.py, which runs before anything is installed."""

import runpy
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[3] / "requirements" / "python.py"
ours: dict[str, Any] = runpy.run_path(str(SCRIPT))

OLD, PLAIN, FAST = (False, False), (True, False), (True, True)


def _best(**found: tuple[bool, bool]) -> str:
    return ours["best"](tuple(found), found.__getitem__)


def test_the_first_fast_python_is_taken() -> None:
    assert _best(expected=FAST, other=FAST) == "expected"
    assert _best(expected=PLAIN, other=FAST) == "other"
    assert _best(expected=OLD, plain=PLAIN, fast=FAST) == "fast"


def test_without_a_fast_one_the_first_that_is_new_enough_is_taken() -> None:
    assert _best(expected=PLAIN, other=PLAIN) == "expected"
    assert _best(expected=OLD, other=PLAIN) == "other"


def test_without_a_new_one_the_expected_one_is_named_so_that_its_age_is_said() -> None:
    assert _best(expected=OLD, other=OLD) == "expected"


def test_a_python_is_looked_at_by_running_it() -> None:
    assert ours["look"](sys.executable)[0]
    assert ours["look"]("no-such-python") == (False, False)
    assert ours["look"]("false") == (False, False)

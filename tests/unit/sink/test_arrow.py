"""What Arrow takes with it into the sink."""

import subprocess
import sys

WRITES = """
import sys
from prefmill.sink.arrow import lean_arrow
arrow = lean_arrow()
arrow.array(["a"])
assert "pandas" not in sys.modules
assert arrow.default_memory_pool().backend_name == "system"
assert list(arrow.table({"a": [1, 2]}).to_pandas()["a"]) == [1, 2]
"""

HAS_PANDAS = """
import pandas
from prefmill.sink.arrow import lean_arrow
assert lean_arrow().array(pandas.Series([1.0, None])).null_count == 1
"""


def ends_well(script: str) -> None:
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_arrays_are_made_without_pandas_which_is_there_for_who_asks():
    ends_well(WRITES)


def test_a_plugins_pandas_is_known_to_arrow():
    ends_well(HAS_PANDAS)

"""The judge as a process."""

import subprocess
import sys

ASKED = """\
import sys
import prefmill.judge.app
print("prefmill.judge.rubrics.ultrafeedback" in sys.modules)
"""


def test_the_rubric_of_nearly_every_recipe_is_imported_before_the_first_batch() -> None:
    said = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True"]

"""What vLLM's engine can be told: the fields of AsyncEngineArgs, read without importing vLLM.

Importing it takes seconds and much memory; a coordinator only wants to check a recipe's names.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Final

_CLASSES: Final = frozenset({"EngineArgs", "AsyncEngineArgs"})


@cache
def engine_arguments() -> frozenset[str]:
    """The names of all fields; none if vLLM is not installed."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    source = Path(spec.submodule_search_locations[0]) / "engine" / "arg_utils.py"
    if not source.is_file():
        return frozenset()
    return fields_in(source.read_text())


def fields_in(source: str) -> frozenset[str]:
    """The annotated fields of the two classes in the source text."""
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    return frozenset(
        line.target.id
        for node in classes
        if node.name in _CLASSES
        for line in node.body
        if isinstance(line, ast.AnnAssign)
        and isinstance(line.target, ast.Name)
        and not line.target.id.startswith("_")
    )

"""YAML of bounded depth: what a person writes. Imported only where YAML is read.

PyYAML takes seconds over thousands of open brackets, which 64 KB are enough for, and ends in a
RecursionError; its twin in C crashes the process. So the scanner stops at the first that is too
deep, and names the place.
"""

from typing import Any, Final, cast

import yaml
from yaml.scanner import ScannerError

DEPTH: Final = 64
"""Collections within one another, at most."""


class ShallowLoader(yaml.SafeLoader):
    """PyYAML's safe loader. ScannerError where collections are nested deeper than DEPTH."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 - PyYAML's name
        """`[` or `{`."""
        self._bound(self.flow_level + len(self.indents) + 1)
        cast("Any", super()).fetch_flow_collection_start(TokenClass)

    def add_indent(self, column: int) -> bool:
        """A block begins, if the column is deeper than the last one's."""
        deeper = bool(cast("Any", super()).add_indent(column))
        self._bound(self.flow_level + len(self.indents))
        return deeper

    def _bound(self, depth: int) -> None:
        if depth > DEPTH:
            problem = f"nested more than {DEPTH} deep"
            raise ScannerError(None, None, problem, cast("Any", self).get_mark())


def read_yaml(text: str) -> Any:
    """What a YAML text holds. `yaml.YAMLError` if it is none, or is nested too deep."""
    return yaml.load(text, ShallowLoader)  # noqa: S506 - it is a SafeLoader

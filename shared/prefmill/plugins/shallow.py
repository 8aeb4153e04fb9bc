"""YAML of bounded depth and size: what a person writes. Imported only where YAML is read.

PyYAML takes seconds over thousands of open brackets, which 64 KB are enough for, and ends in a
RecursionError; its twin in C crashes the process. Ten lines of aliases of aliases name more values
than a machine can hold. So reading stops at the first that is too deep or too much, and names the
place; and so it does for a date or number that is none, of which PyYAML raises what Python does.
"""

from typing import Any, Final, cast

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent, ScalarEvent
from yaml.nodes import Node
from yaml.scanner import ScannerError

DEPTH: Final = 64
"""Collections within one another, at most."""
REPEATED: Final = 500_000
"""Characters that aliases may repeat in all; each value counts as one more."""

_WRONG_VALUE: Final = (ValueError, LookupError, AttributeError, ArithmeticError)
"""What PyYAML's constructors end in: `2024-13-01`, `!!bool maybe`, `!!timestamp soon`."""


class ShallowLoader(yaml.SafeLoader):
    """PyYAML's safe loader. MarkedYAMLError, with the place, where collections are nested deeper
    than DEPTH, aliases repeat more than REPEATED or what they stand in, and for a wrong value."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._size = self._repeated = 0
        self._sizes: dict[str, int] = {}

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 - PyYAML's name
        """`[` or `{`."""
        self._bound(self.flow_level + len(self.indents) + 1)
        cast("Any", super()).fetch_flow_collection_start(TokenClass)

    def add_indent(self, column: int) -> bool:
        """A block begins, if the column is deeper than the last one's."""
        deeper = bool(cast("Any", super()).add_indent(column))
        self._bound(self.flow_level + len(self.indents))
        return deeper

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A value, or the one that an alias repeats."""
        event, before = cast("Any", self).peek_event(), self._size
        node = cast("Any", super()).compose_node(parent, index)
        if isinstance(event, AliasEvent):
            self._repeat(event)
            return node
        self._size += 1 + (len(event.value) if isinstance(event, ScalarEvent) else 0)
        if event.anchor is not None:
            self._sizes[event.anchor] = self._size - before
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """What a node stands for."""
        try:
            return cast("Any", super()).construct_object(node, deep)
        except _WRONG_VALUE as error:
            problem = f"no {node.tag.rpartition(':')[2]} ({error})"
            raise ConstructorError(None, None, problem, node.start_mark) from error

    def _repeat(self, alias: Any) -> None:
        size = self._sizes.get(alias.anchor)
        if size is None:
            problem = f"*{alias.anchor} stands within what it repeats"
            raise ComposerError(None, None, problem, alias.start_mark)
        self._size += size
        self._repeated += size
        if self._repeated > REPEATED:
            problem = f"aliases repeat more than {REPEATED:,} characters"
            raise ComposerError(None, None, problem, alias.start_mark)

    def _bound(self, depth: int) -> None:
        if depth > DEPTH:
            problem = f"nested more than {DEPTH} deep"
            raise ScannerError(None, None, problem, cast("Any", self).get_mark())


def read_yaml(text: str) -> Any:
    """What a YAML text holds. `yaml.YAMLError` if it is none, or is beyond the bounds."""
    return yaml.load(text, ShallowLoader)  # noqa: S506 - it is a SafeLoader

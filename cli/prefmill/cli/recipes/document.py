"""YAML with the line of every key; a key written twice is an error."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from prefmill.plugins.errors import RecipeError
from prefmill.plugins.shallow import ShallowLoader

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """Plain values, and where each stands: `recipe.yaml:12`. `name` is the file's, as typed."""

    name: str
    value: Any
    places: dict[Path, str]

    def place(self, path: Path) -> str:
        """Where this key stands, or the nearest one above it; the file's name if none does."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.name)

    def place_of(self, dotted: str) -> str:
        """The same for a path written with dots; aliases may hold dots themselves."""
        known = {".".join(map(str, path)): place for path, place in self.places.items() if path}
        while dotted and dotted not in known:
            dotted = dotted.rpartition(".")[0]
        return known.get(dotted, self.name)


def parse(text: str, name: str) -> Document:
    """Read YAML. RecipeError names file and line of every problem."""
    try:
        loader = ShallowLoader(text)
        reader = _Reader(name, loader)
        node = loader.get_single_node()
        value = reader.read(node, ()) if node else None
    except yaml.MarkedYAMLError as error:
        raise RecipeError(_syntax(error, name)) from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}: this is not YAML: {' '.join(str(error).split())}") from error
    if reader.problems:
        raise RecipeError(*reader.problems)
    return Document(name, value, reader.places)


def _syntax(error: yaml.MarkedYAMLError, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"{name}:{mark.line + 1}" if mark else name
    said = error.problem or error.context or ""
    if "'?'" in said:
        said += "; within { } or [ ] a text with a question mark stands in quotes"
    return f"{place}: this is not YAML: {said}"


class _Reader:
    def __init__(self, name: str, constructor: SafeConstructor) -> None:
        self.name = name
        self.constructor = constructor
        self.places: dict[Path, str] = {}
        self.problems: list[str] = []

    def read(self, node: Node, path: Path) -> Any:
        """The value of a node. `path` is its place in the document."""
        self.places.setdefault(path, self._line(node))
        if isinstance(node, MappingNode):
            return dict(self._pairs(node, path))
        if isinstance(node, SequenceNode):
            items = cast("list[Node]", node.value)
            return [self.read(item, (*path, index)) for index, item in enumerate(items)]
        return cast("Any", self.constructor).construct_object(node)

    def _pairs(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        self._refuse_duplicates(node)
        self.constructor.flatten_mapping(node)  # `<<: *base`; own keys come after merged ones
        for key_node, value_node in cast("list[tuple[Node, Node]]", node.value):
            key = self._key(key_node)
            if key is None:
                raw = key_node.value if isinstance(key_node, ScalarNode) else "a collection"
                self.problems.append(
                    f"{self._line(key_node)}: the key {raw} is no text; write it in quotes"
                )
                continue
            self.places[(*path, key)] = self._line(key_node)
            yield key, self.read(value_node, (*path, key))

    def _key(self, node: Node) -> str | None:
        """A key as text; `429` is one, but `yes` and `null` may have meant something else."""
        if not isinstance(node, ScalarNode):
            return None
        key = cast("Any", self.constructor).construct_object(node)
        plain = isinstance(key, (str, int, float)) and not isinstance(key, bool)
        return str(node.value) if plain else None

    def _refuse_duplicates(self, node: MappingNode) -> None:
        seen: dict[str, str] = {}
        for key_node, _ in cast("list[tuple[Node, Node]]", node.value):
            if not isinstance(key_node, ScalarNode):
                continue
            key, line = str(key_node.value), self._line(key_node)
            if key in seen and key != "<<":
                self.problems.append(f"{line}: {key!r} is written twice; first at {seen[key]}")
            seen.setdefault(key, line)

    def _line(self, node: Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"

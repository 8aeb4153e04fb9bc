"""A run drawn as a small tree, in the order in which a prompt passes through it."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from prefmill.contracts.recipe import GenerateStep, ModelSpec, Output, Recipe
from prefmill.contracts.work import Shows

_LEAST: Final = 24
"""Columns that are left to words, however narrow the terminal."""
_ITEMS: Final = 6
_CHARACTERS: Final = 80
"""Longer lists are only counted."""
_SHOWS: Final[dict[Shows, str]] = {
    "all": "one call shows all texts",
    "each": "a call for each text",
    "pairs": "each pair in both orders",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A line of the tree, and what hangs below it."""

    name: str
    said: str = ""
    below: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A rubric as the tree shows it."""

    name: str
    aspects: Sequence[str]
    shows: Shows


def tree_lines(recipe: Recipe, rubrics: Sequence[Asked], width: int) -> list[str]:
    """The tree of a recipe, no line longer than `width` where its words can be broken."""
    return [recipe.name, *_drawn(_nodes(recipe, rubrics), "", width)]


def _nodes(recipe: Recipe, rubrics: Sequence[Asked]) -> tuple[Node, ...]:
    steps = [_source(recipe.source)]
    if recipe.transforms:
        steps.append(Node("rows", "; ".join(map(spec_text, recipe.transforms))))
    if recipe.models:
        steps.append(Node("models", _drawing(recipe), _members(recipe.models)))
    if told := _told(recipe.generate):
        steps.append(Node("told", told))
    if recipe.judges:
        steps.append(Node("judges", _quorum(recipe), _members(recipe.judges)))
    steps += [Node("rubrics", "", tuple(map(_rubric, rubrics)))] if rubrics else []
    steps += [Node("pool", _pool(recipe, rubrics))] if rubrics else []
    if recipe.output.transforms:
        steps.append(Node("scored", "; ".join(map(spec_text, recipe.output.transforms))))
    steps.append(Node("formats", _formats(recipe.output)))
    steps.append(Node("dataset", _places(recipe.output)))
    return tuple(steps)


def _source(source: Mapping[str, Any]) -> Node:
    """A mix is drawn with its parts."""
    if "mix" not in source:
        return Node("source", spec_text(source))
    others = {key: value for key, value in source.items() if key != "mix"}
    said = ", ".join(["one after another", *([spec_text(others)] if others else [])])
    return Node("source", said, tuple(map(_part, source["mix"])))


def _part(source: Mapping[str, Any]) -> Node:
    rest = {key: value for key, value in source.items() if key != "name"}
    return Node(str(source.get("name", "")), spec_text(rest) if rest else "")


def _told(generate: GenerateStep) -> str:
    """What models are told besides the prompt."""
    said = ["a system prompt"] if generate.system else []
    if generate.principles:
        profile = generate.principles.profile
        said.append(f"a principle of {profile}" if profile else "a principle of your own")
    return ", and ".join(said) + " with each prompt" if said else ""


def _drawing(recipe: Recipe) -> str:
    sampler = spec_text(recipe.generate.sampler)
    return "all of them answer every prompt" if sampler == "all" else f"drawn by {sampler}"


def _members(members: Mapping[str, ModelSpec]) -> tuple[Node, ...]:
    return tuple(Node(alias, _member(spec)) for alias, spec in members.items())


def _member(spec: ModelSpec) -> str:
    model = spec.options().get("model", "")
    said = f"lane {spec.lane}" if spec.lane else f"{spec.engine} {model}".strip()
    return f"{said}, {spec.samples} samples" if spec.samples > 1 else said


def _quorum(recipe: Recipe) -> str:
    quorum = recipe.judge.quorum if recipe.judge else 1
    return f"{quorum} of them at least must give a usable verdict" if quorum > 1 else ""


def _rubric(asked: Asked) -> Node:
    return Node(asked.name, f"{', '.join(asked.aspects)} ({_SHOWS[asked.shows]})")


def _pool(recipe: Recipe, rubrics: Sequence[Asked]) -> str:
    of = list(recipe.pool.of or rubrics[0].aspects)
    judges, aspects = spec_text(recipe.pool.judges), spec_text(recipe.pool.aspects)
    over = f"{aspects} of {', '.join(of)}" if len(of) > 1 else of[0]
    return f"{over}, then {judges} of the judges" if len(recipe.judges) > 1 else over


def _formats(output: Output) -> str:
    pairing = output.pairing
    said = [", ".join(map(spec_text, output.formats)), f"pairs {pairing.choose}"]
    said += [f"margin {pairing.margin:g}"] if pairing.margin else []
    said += ["ties kept"] if pairing.ties == "keep" else []
    said += [f"{output.test:g} of the prompts for a test"] if output.test else []
    return "; ".join(said)


def _places(output: Output) -> str:
    named = output.destinations().items()
    places = [
        spec_text({name: None, **v} if isinstance(v, dict) else {name: v}) for name, v in named
    ]
    return "; ".join(["a folder", *places])


def spec_text(spec: Mapping[str, Any]) -> str:
    """A plugin and its options in one line: `hub me/name, split test`."""
    (name, main), *others = spec.items()
    first = name if main is None else f"{name} {_short(main)}"
    return ", ".join([first, *(f"{key} {_short(value)}" for key, value in others)])


def _short(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return _listed(cast("Sequence[Any]", value))
        case dict():
            pairs = cast("Mapping[str, Any]", value).items()
            return f"({', '.join(f'{key}: {_short(v)}' for key, v in pairs)})"
        case _:
            return str(value)


def _listed(items: Sequence[Any]) -> str:
    plain = all(isinstance(item, str | int | float) for item in items)
    short = plain and len(items) <= _ITEMS and sum(map(len, map(str, items))) <= _CHARACTERS
    return ", ".join(map(str, items)) if short else f"({len(items)})"


def _drawn(nodes: Sequence[Node], before: str, width: int) -> Iterator[str]:
    names = max((len(node.name) for node in nodes), default=0)
    for node in nodes:
        last = node is nodes[-1]
        mark, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
        name = node.name.ljust(names) + "  "
        rest = before + below + ("│  " if node.below else "   ").ljust(len(name))
        first, *more = _broken(node.said, width - len(before) - len(mark) - len(name))
        yield (before + mark + name + first).rstrip()
        yield from (rest + line for line in more)
        yield from _drawn(node.below, before + below, width)


def _broken(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, max(width, _LEAST), break_long_words=False, break_on_hyphens=False
    ) or [""]

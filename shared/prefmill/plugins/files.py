"""Plugins without a package: files that a local recipe names, each loaded once for each content.

A recipe holds the hash of each file, so a changed file is a changed recipe, and what runs is what
was submitted. A recipe that came over the network may name none (`coordinator.domain.places`).
"""

import ast
import hashlib
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from prefmill.plugins import registry
from prefmill.plugins.errors import RecipeError, line_in
from prefmill.plugins.functions import plugin_of
from prefmill.plugins.marks import MARK, Mark

Named = dict[tuple[str, str], Any]
"""(group, name) → plugin."""

_LOADED: Final[dict[tuple[str, str], Named]] = {}


@contextmanager
def plugin_files(files: Mapping[str, str]) -> Generator[None]:
    """Within it, the registry knows the plugins of these files: path → SHA-256, or empty for
    whatever it holds. RecipeError, with the file, for one that cannot be used."""
    if not files:
        yield
        return
    named: Named = {}
    problems: list[str] = []
    for path, sha256 in files.items():
        try:
            named |= _unique(path, loaded(path, sha256), named)
        except RecipeError as error:
            problems += [f"plugins: {problem}" for problem in error.problems]
    if problems:
        raise RecipeError(*problems)
    with registry.with_own(named):
        yield


def loaded(path: str, sha256: str = "") -> Named:
    """The plugins of a file. RecipeError says what is wrong with it, and where."""
    if (path, sha256) in _LOADED:
        return _LOADED[path, sha256]
    source = source_of(path)
    found = sha256_of(source)
    if sha256 and found != sha256:
        raise RecipeError(
            f"{path}: it has changed since the recipe was submitted; run the recipe again"
        )
    if (path, found) not in _LOADED:
        _LOADED[path, found] = _plugins(path, source, found)
    return _LOADED[path, found]


def source_of(path: str | Path) -> bytes:
    """What the file holds. RecipeError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: there is no such file") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error


def sha256_of(source: bytes) -> str:
    """Hex."""
    return hashlib.sha256(source).hexdigest()


def _plugins(path: str, source: bytes, sha256: str) -> Named:
    module = _module(path, source, sha256)
    marked = [(value, value.__dict__[MARK]) for value in vars(module).values() if _is_ours(value)]
    if not marked:
        raise RecipeError(
            f"{path}: no function in it is a plugin; mark one, for example with "
            "`@prefmill.plugins.pool`"
        )
    tree = ast.parse(source)
    named: Named = {}
    for function, mark in marked:
        place = f"{path}:{function.__code__.co_firstlineno}"
        _refuse_taken(mark, place, named)
        known = {"place": place, "file": (path, sha256), "digest": _code(tree, function, marked)}
        named[mark.group, mark.name] = plugin_of(mark, function, **known)
    return named


def _is_ours(value: Any) -> bool:
    return isinstance(getattr(value, MARK, None), Mark)


def _module(path: str, source: bytes, sha256: str) -> ModuleType:
    module = ModuleType(f"prefmill_file_{Path(path).stem}_{sha256[:12]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # pydantic and dataclasses look it up there
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - a local recipe asks for it
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        said = " ".join(str(error).split())
        line = _line(error, path)
        raise RecipeError(
            f"{path}:{line}: cannot be imported: {type(error).__name__}: {said}"
        ) from error
    return module


def _line(error: BaseException, path: str) -> int:
    """The last line of the file that had a part in it."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 1
    return line_in(error, path) or 1


def _refuse_taken(mark: Mark, place: str, named: Named) -> None:
    kind = mark.group[:-1]
    if mark.name in registry.installed(mark.group):
        raise RecipeError(
            f"{place}: there is a {kind} named {mark.name!r} already; name yours otherwise: "
            "`name=…` in its decorator"
        )
    if (mark.group, mark.name) in named:
        raise RecipeError(f"{place}: the file has two {mark.group} named {mark.name!r}")


def _unique(path: str, new: Named, known: Named) -> Named:
    for group, name in new.keys() & known.keys():
        raise RecipeError(f"{path}: another file has a {group[:-1]} named {name!r} too")
    return new


def _code(tree: ast.Module, function: Any, marked: list[tuple[Any, Mark]]) -> str:
    """Hash of what determines a function's work: the whole file but for comments, and for other
    functions that are plugins themselves; so a changed pool has no judge asked again."""
    others = {other.__name__ for other, _ in marked if other is not function}
    kept = [
        ast.dump(node)
        for node in tree.body
        if not (isinstance(node, ast.FunctionDef) and node.name in others)
    ]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()

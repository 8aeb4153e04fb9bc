"""What pydantic finds wrong with a recipe, as sentences for a person."""

import inspect
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from prefmill.contracts.recipe import Recipe
from prefmill.plugins.registry import nearest
from prefmill.plugins.wording import found_in, said_of

_NAME = "may hold letters, digits, `.`, `_` and `-`, at most 80, and begins with a letter or digit"


def sentences(error: ValidationError) -> list[str]:
    """One problem each: `models.zephyr.params.topp: unknown key; did you mean 'top_p'?`."""
    return list(dict.fromkeys(map(_sentence, found_in(error))))


def _sentence(found: Any) -> str:
    path: tuple[Any, ...] = found["loc"]
    where = ".".join(map(str, path))
    if found["type"] == "extra_forbidden":
        return f"{where}: unknown key{nearest(str(path[-1]), keys_at(path[:-1]))}"
    if found["type"] == "missing":
        return f"{where}: this key is missing{_meaning(path)}"
    if path == ("name",):
        return f"name: {_NAME}; not {found['input']!r}"
    return f"{where}: {said_of(found)}"


def _meaning(path: tuple[Any, ...]) -> str:
    model = _model_at(path[:-1])
    field = model.model_fields.get(str(path[-1])) if model else None
    return f": {field.description}" if field and field.description else ""


def keys_at(path: tuple[Any, ...]) -> list[str]:
    """The keys that may stand there."""
    model = _model_at(path)
    return list(model.model_fields) if model else []


def _model_at(path: tuple[Any, ...]) -> type[BaseModel] | None:
    inner: Any = Recipe
    for part in path:
        model = _model_in(inner)
        if get_origin(inner) in (dict, tuple):
            inner = model
        elif model is not None and part in model.model_fields:
            inner = model.model_fields[part].annotation
        else:
            return None
    return _model_in(inner)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(inner) for inner in get_args(annotation))
    return next((model for model in found if model), None)

"""What well-known models cost: list prices that a recipe or a file of the user's overrides."""

import os
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import yaml
from pydantic import Field, ValidationError

from prefmill.contracts.base import Strict
from prefmill.contracts.recipe import Price
from prefmill.coordinator.domain.resolved import ResolvedModel
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.shallow import read_yaml

VARIABLE: Final = "PREFMILL_PRICES"
"""Names a YAML file: `{models: {NAME: {input: 1, output: 2, context: 8192}}}`."""

_DATED: Final = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}(-preview)?|latest|preview)$")
_VENDOR: Final = re.compile(r"^(openai|anthropic|google|models)/")
_FREE: Final = Price(input=0, output=0)


class ListedModel(Price):
    """A line of a price table."""

    context: int | None = Field(default=None, ge=1, description="Tokens read and written, in all.")


class PriceTable(Strict):
    """A file of prices."""

    as_of: str = Field(default="", description="When these prices held.")
    models: dict[str, ListedModel] = Field(default={}, description="By model id or family.")


def price_of(model: ResolvedModel) -> Price | None:
    """US dollars per million tokens: the recipe's, else the user's table's, else the built-in
    one's, or nothing for an engine of this machine; None if it is not known. RecipeError if the
    user's table cannot be read."""
    if model.spec.price:
        return model.spec.price
    if model.engine.paid:
        return listed(model.model)
    return _line(_users(os.environ.get(VARIABLE, "")), model.model) or _FREE


def context_of(model: ResolvedModel) -> int | None:
    """Tokens of the model's context window, where the table knows it."""
    found = listed(model.model) if model.engine.paid else None
    return found.context if found else None


def listed(model: str) -> ListedModel | None:
    """The line of a model, or of its family if the id carries a date."""
    return _line(_table(os.environ.get(VARIABLE, "")), model)


def _line(table: Mapping[str, ListedModel], model: str) -> ListedModel | None:
    bare = _VENDOR.sub("", model)
    family = _DATED.sub("", bare)
    return next((table[name] for name in (model, bare, family) if name in table), None)


@cache
def _table(users: str) -> dict[str, ListedModel]:
    built_in = files("prefmill.coordinator.domain").joinpath("prices.yaml").read_text("utf-8")
    return _read(built_in, "prices.yaml") | _users(users)


@cache
def _users(path: str) -> dict[str, ListedModel]:
    if not path:
        return {}
    try:
        return _read(Path(path).read_text("utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{VARIABLE}: {path} cannot be read: {error}") from error


def _read(text: str, name: str) -> dict[str, ListedModel]:
    try:
        return PriceTable.model_validate(read_yaml(text)).models
    except (yaml.YAMLError, ValidationError) as error:
        raise RecipeError(
            f"{VARIABLE}: {name} is no table of prices: {error}; write "
            "`models: {NAME: {input: 1, output: 2}}`, in US dollars per million tokens"
        ) from error

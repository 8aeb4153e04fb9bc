"""Loads a recipe for a command: every problem becomes a line, and the exit code is 2."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from prefmill.cli.recipes.load import LoadedRecipe, load
from prefmill.cli.stop import WRONG, Stop
from prefmill.plugins.errors import RecipeError


def loaded(path: Path, settings: tuple[str, ...] = (), rows: int | None = None) -> LoadedRecipe:
    """The recipe. Stop with a line per problem."""
    try:
        return load(path, settings, rows)
    except RecipeError as error:
        raise stop_for(list(error.problems)) from error


@contextmanager
def recipe_errors(recipe: LoadedRecipe) -> Generator[None]:
    """Turns the RecipeError of a plugin's or coordinator's check into Stop, with lines placed."""
    try:
        yield
    except RecipeError as error:
        raise stop_for(recipe.placed(error)) from error


def stop_for(problems: list[str]) -> Stop:
    """Ends the command with these problems."""
    return Stop(WRONG, *(f"error: {problem}" for problem in problems))

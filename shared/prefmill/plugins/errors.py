"""What plugins raise. The three kinds of engine failures are all that the line knows of engines."""

import traceback
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from prefmill.contracts.chat import Usage


class RecipeError(ValueError):
    """A recipe or its input cannot be used; each problem says what, where and what to do.

    A problem begins with its place in the recipe and a colon, where it has one:
    `models.zephyr.base_url: unknown key; …`.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@contextmanager
def problems_at(where: str, root: str = "") -> Generator[None]:
    """A RecipeError raised within it tells this place, if it tells none below it. What it says to
    be at `root`, where it takes itself to stand, is there instead."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError(*(_placed(problem, where, root) for problem in error.problems)) from error


def _placed(problem: str, where: str, root: str) -> str:
    if problem.startswith(where):
        return problem
    if root and problem.startswith((f"{root}.", f"{root}:")):
        return where + problem.removeprefix(root)
    return f"{where}: {problem}"


def line_in(error: BaseException, path: str) -> int | None:
    """The last line of a file that had a part in an exception; None if none had."""
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == path
    ]
    return lines[-1] if lines else None


class EngineError(Exception):
    """A completion failed. `detail` is one line for a person."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Transient(EngineError):
    """Wait and try again: 429, 5xx, lost connections, time-outs. Never an attempt.

    `broken`: the server did answer, but with what is no answer of its API (a web page, half a
    document); many of those alike are no passing trouble.
    """

    def __init__(
        self,
        detail: str,
        retry_after: timedelta | None = None,
        *,
        rate_limited: bool = False,
        broken: bool = False,
    ) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.rate_limited = rate_limited
        self.broken = broken


class Rejected(EngineError):
    """This request's own fault, an attempt: 400, 413, 422, an empty answer, a content filter.

    `usage`, `model` and `raw` say what was paid, who answered, and what, where that is known.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        usage: Usage | None = None,
        model: str = "",
        raw: str = "",
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.usage = usage or Usage()
        self.model = model
        self.raw = raw


class Unusable(EngineError):
    """The lane cannot work: wrong key, unknown model, quota gone. Pauses it, uncounted."""


class EngineDied(Unusable):
    """An engine that runs in processes of its own has ended. The worker gives its batches back
    and ends with exit code 1, for another to be started in its place."""

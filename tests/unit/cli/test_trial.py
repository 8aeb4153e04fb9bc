"""`prefmill try` waits out passing trouble, as a lane does, but not for ever."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain, repeat
from typing import Any

from prefmill.cli.trial import TRIES, Trial
from prefmill.contracts.chat import Params, Usage
from prefmill.contracts.recipe import Recipe
from prefmill.coordinator.domain.resolved import resolve
from prefmill.plugins.engine import ChatRequest, Completion
from prefmill.plugins.errors import Rejected, Transient

RECIPE = {
    "name": "r",
    "source": {"inline": ["Why?"]},
    "models": {a: {"engine": "simulated", "model": a} for a in ("a", "b")},
    "judges": {"j": {"engine": "simulated", "model": "j"}},
    "judge": {"rubric": {"ultrafeedback": ["honesty"]}},
}
ANSWER = Completion("So.", "stop", "sim", Usage(input_tokens=3, output_tokens=1))


class Scripted:
    """An engine that raises what it is told to, one a call, and then answers."""

    paid = False

    def __init__(self, *failures: Exception) -> None:
        self.failures: Iterator[Any] = chain(failures, repeat(ANSWER))

    def missing(self) -> str | None:
        return None

    async def start(self) -> None: ...

    async def probe(self, params: Params) -> None: ...

    async def stop(self) -> None: ...

    async def complete(self, request: ChatRequest) -> Completion:
        met = next(self.failures)
        if isinstance(met, Exception):
            raise met
        return met


@dataclass
class Tried:
    """A trial of the recipe's first row, what it said, and how long it waited."""

    lines: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def model(self, engine: Scripted) -> bool:
        resolved = resolve(Recipe.model_validate(RECIPE))
        trial = Trial(resolved, 0, next(resolved.prompts()), self.lines.append, self.sleep)
        return await trial.generate(replace(resolved.models[0], engine=engine))

    async def judge(self, engine: Scripted, judge: Scripted | None = None) -> bool:
        resolved = resolve(Recipe.model_validate(RECIPE))
        models = tuple(replace(model, engine=engine) for model in resolved.models)
        changed = replace(resolved, models=models)
        trial = Trial(changed, 0, next(changed.prompts()), self.lines.append, self.sleep)
        asked = changed.judges[0]
        asked = replace(asked, engine=judge) if judge else asked
        return await trial.judge(asked, "honesty")


def limited(seconds: float | None = None) -> Transient:
    wait = None if seconds is None else timedelta(seconds=seconds)
    return Transient("429, too many requests", wait, rate_limited=True)


async def test_passing_trouble_is_waited_out_and_said() -> None:
    tried = Tried()
    assert await tried.model(Scripted(limited(3), Transient("500"), Transient("reset")))
    assert tried.waits == [3.0, 1.0, 2.0]
    assert "\na: 429, too many requests; try 2 of 5 in 3 s" in tried.lines
    assert "So." in tried.lines


async def test_trouble_that_stays_is_given_up_after_a_few_tries() -> None:
    tried = Tried()
    assert not await tried.model(Scripted(*[limited()] * 9))
    assert len(tried.waits) == TRIES - 1
    assert tried.lines[-1] == "\nfailed (transient): 429, too many requests"


async def test_nobody_waits_an_hour_at_a_terminal() -> None:
    tried = Tried()
    assert not await tried.model(Scripted(limited(3600)))
    assert tried.waits == []
    said = "\nfailed (transient): 429, too many requests; it asks to wait 1 h 0 min or more"
    assert tried.lines[-1] == said


async def test_how_long_a_server_asks_to_wait_is_said_of_placeholders_too() -> None:
    tried = Tried()
    assert not await tried.judge(Scripted(*[limited(600)] * 3), Scripted(limited(90.5)))
    why = "429, too many requests; it asks to wait 10 min 0 s"
    assert tried.lines[0] == f"a placeholder stands for the answer of a: {why}"
    assert tried.lines[-1].endswith("429, too many requests; it asks to wait 1 min 31 s")


async def test_a_request_that_is_itself_at_fault_is_not_tried_again() -> None:
    tried = Tried()
    assert not await tried.model(Scripted(Rejected("too-long", "400")))
    assert tried.waits == []


async def test_an_answer_that_is_to_be_judged_is_waited_for_and_no_placeholder_judged() -> None:
    tried = Tried()
    assert await tried.judge(Scripted(limited(1), limited(1)))
    assert tried.waits == [1.0, 1.0]
    assert not any("placeholder" in line for line in tried.lines)
    assert tried.lines[0] == "a: 429, too many requests; try 2 of 5 in 1 s", "no empty line first"

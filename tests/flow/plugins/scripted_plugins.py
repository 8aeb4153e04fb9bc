"""Plugins of another distribution, for tests: an engine that does what its prompt says, and a
rubric whose verdict is a JSON list. They come in by the door that all plugins come in by."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from prefmill.contracts.base import Strict
from prefmill.contracts.chat import Message, Params, Usage
from prefmill.contracts.results import Reading
from prefmill.contracts.work import JudgeRow
from prefmill.plugins.digest import digest_of
from prefmill.plugins.engine import ChatRequest, Completion, EngineOptions
from prefmill.plugins.errors import Rejected, Transient, Unusable
from prefmill.plugins.rubric import Question


class ScriptedOptions(EngineOptions):
    log: str = ""
    """Each call writes its prompt there."""
    broken: str = ""
    """While this file exists, the key is wrong."""


class ScriptedEngine:
    """`VERB ARGUMENT` as the last turn: sleep SECONDS, wait SECONDS, reject, big CHARS,
    say TEXT, or an echo."""

    Options: ClassVar[type[EngineOptions]] = ScriptedOptions
    paid = False

    def __init__(self, options: ScriptedOptions) -> None:
        self._options = options

    def missing(self) -> str | None:
        return None

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def probe(self, params: Params) -> None:
        self._check_key()

    async def complete(self, request: ChatRequest) -> Completion:
        prompt = request.messages[-1].content
        if self._options.log:
            with Path(self._options.log).open("a") as log:
                log.write(f"{prompt}\n")
        self._check_key()
        text = await _act(prompt)
        return Completion(text, "stop", self._options.model, Usage(input_tokens=1))

    def _check_key(self) -> None:
        if self._options.broken and Path(self._options.broken).exists():
            raise Unusable("the key is wrong")


async def _act(prompt: str) -> str:
    verb, _, argument = prompt.partition(" ")
    if verb == "sleep":
        await asyncio.sleep(float(argument))
    elif verb == "reject":
        raise Rejected("rejected", "as the prompt asks")
    elif verb == "wait":
        again = timedelta(seconds=float(argument))
        raise Transient("the server is busy", again, rate_limited=True)
    elif verb == "big":
        return "x" * int(argument)
    elif verb == "say":
        return argument
    return f"echo {prompt}"


class ScriptedRubric:
    """Shows the texts, one a line, after the row's instruction; reads a JSON list of ratings."""

    class Options(Strict):
        fail: str = ""

    aspects = ("overall",)
    tokens_per_text = 1

    def __init__(self, options: Any) -> None:
        self._options = options

    def fingerprint(self) -> str:
        return digest_of("scripted").hex()

    def ask(self, row: JudgeRow, aspect: str, order: tuple[int, ...]) -> Question:
        if self._options.fail == "ask":
            raise KeyError("no such template")
        if row.instruction:
            return Question((Message(role="user", content=row.instruction),))
        shown = json.dumps([len(row.generations[index]) for index in order])
        return Question((Message(role="user", content=f"say {shown}"),))

    def read(self, aspect: str, answer: str, texts: int) -> tuple[Reading, ...]:
        if self._options.fail == "read":
            raise IndexError("a bug")
        ratings = json.loads(answer)
        return tuple(
            Reading(status="rated", rating=rating) if rating else Reading(status="missing-block")
            for rating in ratings
        )


class ScriptedEach(ScriptedRubric):
    """One call for each text, on two aspects; `wordings` change the question of one of them."""

    class Options(Strict):
        fail: str = ""
        wordings: dict[str, str] = Field(default={})

    aspects = ("tone", "overall")
    shows = "each"

    def fingerprint_of(self, aspect: str) -> str:
        return digest_of(aspect, self._options.wordings.get(aspect, "")).hex()

    def fingerprint(self) -> str:
        return digest_of([self.fingerprint_of(aspect) for aspect in self.aspects]).hex()


class ScriptedPairs(ScriptedRubric):
    """One call for every ordered pair."""

    aspects = ("better",)
    shows = "pairs"

    def fingerprint(self) -> str:
        return digest_of("pairs").hex()

"""One call of a model or judge outside of any run, with all of it said."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from prefmill.cli.show.numbers import seconds, table
from prefmill.contracts.chat import Message
from prefmill.contracts.money import dollars
from prefmill.contracts.results import Reading
from prefmill.contracts.rows import Prompt
from prefmill.contracts.work import JudgeRow
from prefmill.coordinator.domain.plan import content_of, conversation
from prefmill.coordinator.domain.prices import price_of
from prefmill.coordinator.domain.resolved import Resolved, ResolvedModel
from prefmill.engines.retry_after import LONGEST
from prefmill.engines.tries import Tries
from prefmill.ledger.desired import subsets
from prefmill.plugins.digest import seed_of
from prefmill.plugins.engine import ChatRequest, Completion
from prefmill.plugins.errors import EngineError, Rejected, Transient
from prefmill.plugins.principles import Drawn, source_of
from prefmill.plugins.rubric import RubricFailed, readings_of

TRIES: Final = 5
"""Calls of one request, where what fails is passing trouble."""
LONGEST_WAIT_S: Final = 60.0
"""A server that asks to be left alone for longer is not waited for: somebody sits there."""

Say = Callable[[str], None]
Sleep = Callable[[float], Awaitable[None]]


class Trial:
    """Tries one row. `say` takes the lines; `sleep` takes seconds."""

    def __init__(
        self,
        resolved: Resolved,
        row: int,
        prompt: Prompt,
        say: Say,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._resolved = resolved
        self._row = row
        self._prompt = prompt
        self._say = say
        self._sleep = sleep
        self._gap = ""
        """Before a line that is none of the text above it: nothing while nothing is shown."""

    async def generate(self, model: ResolvedModel) -> bool:
        """Have a model answer; False if it failed. Without its key, only the prompt is shown."""
        request = self._asked(model)
        self._show(model, request)
        return self._unsent(model) or await self._call(model, request) is not None

    async def judge(self, judge: ResolvedModel, aspect: str) -> bool:
        """Have a judge rate the row's answers; False if it failed."""
        assert judge.rubric is not None
        rubric = judge.rubric.rubric
        authors, texts, told = await self._texts()
        sets = subsets(judge.rubric.shows, len(texts))
        if not texts or not sets:
            self._say(f"the row has too few answers to judge: {len(texts)}")
            return False
        asked = rubric.ask(self._judged(texts, told), aspect, sets[0])
        request = ChatRequest(asked.messages, judge.params, self._seed(judge), asked.schema)
        self._show(judge, request, f", aspect {aspect}")
        if self._unsent(judge):
            return True
        completion = await self._call(judge, request)
        if completion is None:
            return False
        self._heading("verdict")
        try:
            readings = readings_of(rubric, aspect, completion.text, len(sets[0]))
        except RubricFailed as error:
            self._say(f"failed: {error}")
            return False
        shown = [authors[index] for index in sets[0]]
        for line in table(("text", "rating", "rationale"), _rows(shown, readings), left=3):
            self._say(line)
        return True

    def _asked(self, model: ResolvedModel, sample: int = 0) -> ChatRequest:
        system = self._resolved.recipe.generate.system
        turns = [message.plain() for message in self._prompt.messages]
        asked = conversation(turns, model, system, self._drawn(model, sample))
        messages = tuple(Message.of(turn) for turn in asked)
        return ChatRequest(messages, model.params, self._seed(model))

    def _drawn(self, model: ResolvedModel, sample: int) -> Drawn | None:
        principles = self._resolved.principles
        content, source = content_of(self._prompt), source_of(self._prompt)
        return principles and principles.draw(content, source, model.alias, sample)

    def _seed(self, model: ResolvedModel) -> int:
        return seed_of("try", self._resolved.recipe.seed, model.key.hex(), self._row)

    def _judged(self, texts: Sequence[str], told: Sequence[str | None]) -> JudgeRow:
        return JudgeRow(
            row=self._row,
            instruction=self._prompt.instruction,
            history=self._prompt.messages[:-1],
            reference=self._prompt.reference,
            generations=tuple(texts),
            principles=tuple(told),
            cells=(),
        )

    async def _texts(self) -> tuple[list[str], list[str], list[str | None]]:
        """Who wrote what is to be judged, and what they had been told: the row's own answers, or
        ones made now."""
        given = [(g.model, g.text) for g in self._prompt.responses if g.text]
        if given:
            return [model for model, _ in given], [text for _, text in given], []
        if self._resolved.sampler is None:
            return [], [], []
        by_alias = {model.alias: model for model in self._resolved.models}
        drawn = [by_alias[alias] for alias in self._resolved.sampler.draw(self._row)]
        models = [(model, sample) for model in drawn for sample in range(model.spec.samples)]
        texts = await asyncio.gather(*(self._answer(model, sample) for model, sample in models))
        told = [self._drawn(model, sample) for model, sample in models]
        return [m.alias for m, _ in models], list(texts), [one and one.wording for one in told]

    async def _answer(self, model: ResolvedModel, sample: int) -> str:
        """An answer to be judged; a placeholder where none can be had."""
        why = model.engine.missing()
        if why is None:
            try:
                return (await self._complete(model, self._asked(model, sample))).text
            except EngineError as error:
                why = _trouble(error)
        self._say(f"a placeholder stands for the answer of {model.alias}: {why}")
        return f"(Placeholder for the answer of {model.alias}.)"

    def _show(self, model: ResolvedModel, request: ChatRequest, more: str = "") -> None:
        self._say(f"row {self._prompt.id}, {model.alias} = {model.model}{more}")
        params = request.params.model_dump(mode="json", exclude_unset=True)
        said = ", ".join(f"{name} {value}" for name, value in params.items() if value != [])
        self._say(f"parameters: {said or 'those of the server'}")
        for message in request.messages:
            self._turn(message)
        self._gap = "\n"

    def _turn(self, message: Message) -> None:
        self._heading(message.role)
        self._say(message.content)

    def _heading(self, text: str) -> None:
        self._say(f"\n--- {text} ".ljust(72, "-"))

    def _unsent(self, model: ResolvedModel) -> bool:
        missing = model.engine.missing()
        if missing:
            self._say(f"\nnot sent: {missing}")
        return missing is not None

    async def _call(self, model: ResolvedModel, request: ChatRequest) -> Completion | None:
        began = time.monotonic()
        try:
            completion = await self._complete(model, request)
        except EngineError as error:
            self._say(f"\nfailed ({_kind(error)}): {_trouble(error)}")
            return None
        self._heading("answer")
        self._say(completion.text)
        self._say(f"\n{_paid(model, completion)}, {time.monotonic() - began:.2f} s")
        return completion

    async def _complete(self, model: ResolvedModel, request: ChatRequest) -> Completion:
        await model.engine.start()
        try:
            return await self._answered(model, request)
        finally:
            await model.engine.stop()

    async def _answered(self, model: ResolvedModel, request: ChatRequest) -> Completion:
        """What a lane waits out for ever is waited out a few times, and said."""
        tries = Tries()
        while True:
            try:
                return await model.engine.complete(request)
            except Transient as error:
                tries.failures += 1
                wait = _wait_s(error, tries)
                if tries.failures == TRIES or wait > LONGEST_WAIT_S:
                    raise
                again = f"try {tries.failures + 1} of {TRIES} in {wait:g} s"
                self._say(f"{self._gap}{model.alias}: {error.detail.rstrip('.')}; {again}")
            await self._sleep(wait)


def _wait_s(error: Transient, tries: Tries) -> float:
    """Seconds until the next try: as the server says, or longer each time."""
    return error.retry_after.total_seconds() if error.retry_after else tries.backoff_s(1.0)


def _kind(error: EngineError) -> str:
    return error.reason if isinstance(error, Rejected) else type(error).__name__.lower()


def _trouble(error: EngineError) -> str:
    """What is wrong, and how long the server asks to be left alone, if it does."""
    asked = error.retry_after if isinstance(error, Transient) else None
    if asked is None:
        return error.detail
    more = " or more" if asked >= LONGEST else ""
    wait = seconds(math.ceil(asked.total_seconds()))
    return f"{error.detail.rstrip('.')}; it asks to wait {wait}{more}"


def _paid(model: ResolvedModel, completion: Completion) -> str:
    usage, price = completion.usage, price_of(model)
    cost = None
    if price:
        cost = (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1e6
    return (
        f"{completion.model}, finish reason {completion.finish_reason}: "
        f"{usage.input_tokens:,} tokens read, {usage.output_tokens:,} written, {dollars(cost)}"
    )


def _rows(authors: Sequence[str], readings: Sequence[Reading]) -> list[list[str]]:
    return [
        [author, _rating(reading), " ".join((reading.rationale or "").split())[:160]]
        for author, reading in zip(authors, readings, strict=True)
    ]


def _rating(reading: Reading) -> str:
    return reading.status if reading.rating is None else f"{reading.rating:g}"

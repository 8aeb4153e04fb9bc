"""One simulated model: what becomes of each request, decided by the request alone."""

import json
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from prefmill.engines.simulated.answer import write_answer
from prefmill.engines.simulated.asked import Asked, content_key
from prefmill.engines.simulated.chance import draw, unit
from prefmill.engines.simulated.faults import Faults
from prefmill.engines.simulated.judge import Shown, judge, shown_by
from prefmill.engines.simulated.layouts import USUAL, Layout, filled
from prefmill.engines.simulated.malformed.mangled import MANGLED
from prefmill.engines.simulated.options import SimulatedOptions
from prefmill.engines.simulated.quality import mean_of
from prefmill.engines.simulated.schema import Filling, json_for
from prefmill.engines.simulated.verdicts import Verdict, write_verdicts

Finish = Literal["stop", "length", "content_filter"]

CHARS_PER_TOKEN: Final = 4
REFUSAL: Final = "I am sorry, but I cannot help with this request."
_SILENT: Final = frozenset({"429", "500", "503", "hang", "html"})


class Outcome(NamedTuple):
    """What becomes of one request. `fault` is its name ("" for none), of a malformed verdict
    `malformed:FORM`; `key` tells requests apart; `arrival` counts the same one from 0."""

    kind: Literal["answer", "judge"]
    key: int
    arrival: int
    delay_s: float
    fault: str = ""
    text: str = ""
    finish: Finish = "stop"
    stopped_by: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


def tokens_of(chars: int) -> int:
    """About how many tokens so many characters are."""
    return -(-chars // CHARS_PER_TOKEN)


class Simulation:
    """Answers requests for any model name. Keeps nothing but how often each request came, and
    that only where faults are wanted: about 100 bytes a request."""

    def __init__(self, options: SimulatedOptions) -> None:
        self.options = options
        self._world = options.seed
        self._faults = Faults(options.faults)
        self._arrivals: dict[int, int] | None = {} if self._faults.any else None

    def meet(self, asked: Asked) -> Outcome:
        """What becomes of this request, this time."""
        content = content_key(asked, self._world)
        key = draw(content, asked.seed)
        arrival = self._arrived(key)
        shown = shown_by(asked)
        fault = self._faults.transport(key, arrival)
        told_apart = asked.seed is not None or shown is not None
        if not fault and self._faults.empty(key, 0 if told_apart else arrival):
            fault = "empty"
        said, finish = "", "stop"
        if fault not in _SILENT and fault != "empty":
            said, finish, form = self._say(asked, shown, content, key)
            fault = fault or form
        return self._outcome(asked, shown, key, arrival, fault, said, finish)

    def _arrived(self, key: int) -> int:
        if self._arrivals is None:
            return 0
        arrival = self._arrivals.get(key, 0)
        self._arrivals[key] = arrival + 1
        return arrival

    def _say(
        self, asked: Asked, shown: Shown | None, content: int, key: int
    ) -> tuple[str, Finish, str]:
        """The whole text, why it ends, and the malformed form it has."""
        if shown is not None:
            verdicts = judge(shown, asked.model)
            if shown.layout is not None and verdicts:
                return self._filled(asked, shown.layout, verdicts, key)
            form = self._faults.form(key, verdicts) if shown.scale == USUAL else None
            if form is not None:
                return form.write(verdicts), "stop", f"malformed:{form.name}"
            return _well_formed(asked, verdicts), "stop", ""
        if self.options.refusals and unit("refusal", content) < self.options.refusals:
            return REFUSAL, "content_filter", ""
        return self._answer(asked, key), "stop", ""

    def _filled(
        self, asked: Asked, layout: Layout, verdicts: Sequence[Verdict], key: int
    ) -> tuple[str, Finish, str]:
        """The same for an answer that is no blocks."""
        meant, opposite = filled(layout, verdicts)
        name = self._faults.mangling(key)
        if name:
            return MANGLED[name](meant, opposite), "stop", f"malformed:{name}"
        return meant("") if asked.schema is None else _well_formed(asked, verdicts), "stop", ""

    def _answer(self, asked: Asked, key: int) -> str:
        mean = self.options.quality
        if mean is None:
            mean = mean_of(asked.model)
        text = write_answer(asked.prompt, key, mean, self.options.spread, asked.max_tokens)
        if asked.schema is None:
            return text
        return json.dumps(json_for(asked.schema, Filling(text)), ensure_ascii=False)

    def _outcome(
        self,
        asked: Asked,
        shown: Shown | None,
        key: int,
        arrival: int,
        fault: str,
        said: str,
        finish: Finish,
    ) -> Outcome:
        text, cut, stopped_by = ended(said, asked.max_tokens, asked.stop)
        return Outcome(
            kind="answer" if shown is None else "judge",
            key=key,
            arrival=arrival,
            delay_s=self._delay(key),
            fault=fault,
            text=text,
            finish="length" if cut else finish,
            stopped_by=stopped_by,
            input_tokens=tokens_of(asked.chars),
            output_tokens=tokens_of(len(text)),
        )

    def _delay(self, key: int) -> float:
        options = self.options
        if not options.jitter:
            return options.latency_ms / 1000
        return options.latency_ms / 1000 * (1 + options.jitter * (2 * unit("delay", key) - 1))


def _well_formed(asked: Asked, verdicts: Sequence[Verdict]) -> str:
    if asked.schema is None:
        return write_verdicts(verdicts)
    return json.dumps(json_for(asked.schema, Filling("", verdicts)), ensure_ascii=False)


def ended(text: str, max_tokens: int | None, stop: Sequence[str]) -> tuple[str, bool, str | None]:
    """The text up to the first stop text and the token limit; whether the limit cut it; which
    stop text did."""
    found = [(text.find(each), each) for each in stop if each and each in text]
    at, stopped_by = min(found, default=(len(text), None))
    room = len(text) if max_tokens is None else max_tokens * CHARS_PER_TOKEN
    if room < at:
        return text[:room], True, None
    return text[:at], False, stopped_by

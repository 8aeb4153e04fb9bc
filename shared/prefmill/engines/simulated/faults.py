"""Faults by name, and whether one hits a request."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prefmill.engines.simulated.chance import unit
from prefmill.engines.simulated.malformed import INJECTED, MALFORMED, Malformed
from prefmill.engines.simulated.malformed.mangled import MANGLED
from prefmill.engines.simulated.verdicts import Verdict

TRANSPORT: Final = ("429", "500", "503", "reset", "hang", "html", "truncated")
"""No usable answer arrives; the same request sent again may get through."""

ALIASES: Final = {"timeout": "hang"}
KNOWN: Final = (*TRANSPORT, "empty", "malformed", *[f"malformed:{name}" for name in MALFORMED])


def checked_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """The rates by canonical name. ValueError names what is unknown or out of range."""
    named = {ALIASES.get(name, name): rate for name, rate in rates.items()}
    for name, rate in named.items():
        if name not in KNOWN:
            raise ValueError(f"no fault named {name!r}{_nearest(name)}")
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of {name} is {rate}; it must be from 0 to 1")
    if sum(named.values()) > 1 + 1e-9:
        raise ValueError("the rates of all faults together are more than 1")
    return named


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.7)
    known = ", ".join([*TRANSPORT, "empty", "malformed", "malformed:FORM"])
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {known}"


class Faults:
    """Decides by chance that depends on the request only.

    `arrival` is how often the identical request came before. What arrives broken at no cost
    (TRANSPORT) depends on it, so that sending it again gets through. What a judge says depends on
    the request alone: a new attempt has another seed, or shows the texts in another order. So a
    request that is asked twice because its first answer was lost leads to the same stored result.
    An answer that comes empty on a wire without seeds depends on the arrival, as nothing else in a
    new attempt differs."""

    def __init__(self, rates: Mapping[str, float]) -> None:
        self._transport = [(name, rates[name]) for name in TRANSPORT if rates.get(name)]
        self._empty = rates.get("empty", 0.0)
        self._malformed = [
            (rate, (MALFORMED[name[10:]],) if name[10:] else INJECTED)
            for name, rate in sorted(rates.items())
            if name.startswith("malformed") and rate
        ]
        self.any = any(rates.values())

    def transport(self, key: int, arrival: int) -> str:
        """Which fault of TRANSPORT hits; "" for none."""
        if not self._transport:
            return ""
        chance = unit("transport", key, arrival)
        for name, rate in self._transport:
            chance -= rate
            if chance < 0:
                return name
        return ""

    def empty(self, key: int, arrival: int) -> bool:
        """Whether the answer is empty."""
        return self._empty > 0 and unit("empty", key, arrival) < self._empty

    def form(self, key: int, verdicts: Sequence[Verdict]) -> Malformed | None:
        """The malformed form of a verdict; None for none."""
        return self._choose(key, lambda form: form.applies(verdicts)) if self._malformed else None

    def mangling(self, key: int) -> str:
        """The name of the malformed form of a verdict that is no blocks; "" for none."""
        form = self._choose(key, lambda form: form.name in MANGLED) if self._malformed else None
        return form.name if form else ""

    def _choose(self, key: int, fits: Callable[[Malformed], bool]) -> Malformed | None:
        chance = unit("malformed", key)
        for rate, forms in self._malformed:
            if chance < rate:
                fit = [form for form in forms if fits(form)]
                return fit[int(chance / rate * len(fit))] if fit else None
            chance -= rate
        return None

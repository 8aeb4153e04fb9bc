"""From an HTTP status and a server's words to one of the three kinds of failure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prefmill.contracts.reasons import REFUSED, REJECTED
from prefmill.engines.retry_after import retry_after
from prefmill.engines.server_error import ServerError
from prefmill.engines.text import one_line
from prefmill.plugins.errors import EngineError, Rejected, Transient, Unusable

_OWN_FAULT: Final = frozenset({400, 413, 422, 431})
_WAIT: Final = frozenset({408, 409, 425})
_FULL: Final = frozenset({429, 503, 529})
"""The server has no room now: nobody's fault, and a reason to send less."""

_SPENT: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error",
     "enforced_spend_limit_reached", "contract_spend_limit_reached",
     "linked_organization_spend_limit_reached", "organization_on_hold"}
)  # fmt: skip
_SPENT_WORDS: Final = re.compile(
    r"credit balance is too low|insufficient (?:credit|balance|funds)|"
    r"reached your specified \S* ?\S* ?usage limits|organization has been disabled",
    re.IGNORECASE,
)
_KEY_WORDS: Final = re.compile(r"(?:incorrect|invalid) api key|api key not valid", re.IGNORECASE)
_NO_MODEL: Final = frozenset({"model_not_found", "invalid_model"})
_NO_MODEL_WORDS: Final = re.compile(
    r"does not exist|not found|not a valid model|(?:unknown|invalid|unsupported) model",
    re.IGNORECASE,
)
_FILTERED: Final = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """Who is asked, for messages. `key_env` is the variable of its key; `secrets` are blotted
    out of whatever a server says."""

    model: str
    host: str
    key_env: str
    key_sent: bool = False
    secrets: tuple[str, ...] = ()

    def line(self, said: str, advice: str = "") -> str:
        """One line: model, host, what was said, what to do; never a secret. No full stop ends it:
        more may be said behind it."""
        text = f"{self.model} at {self.host}: {said}"
        for secret in self.secrets:
            text = text.replace(secret, "***")
        line = one_line(text, 500)
        line = line if line.endswith("..") else line.removesuffix(".")
        return f"{line}; {advice}" if advice else line


def failure_of(
    status: int,
    error: ServerError,
    place: Place,
    headers: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> EngineError:
    """The failure that a status of 300 and more, with the server's words, stands for."""
    said = f"{status} {error.message}"
    advice = _unusable_advice(status, error, place)
    if advice:
        return Unusable(place.line(said, advice))
    if error.codes & _FILTERED:
        return Rejected(REFUSED, place.line(said))
    if status in _OWN_FAULT:
        return Rejected(REJECTED, place.line(said))
    if status >= 500 or status in _WAIT | _FULL:
        wait = retry_after(headers or {}, now or datetime.now(UTC))
        return Transient(place.line(said), wait, rate_limited=status in _FULL)
    return Unusable(place.line(said, "is base_url right?"))


def _unusable_advice(status: int, error: ServerError, place: Place) -> str:
    """What to do where the lane cannot work; empty where it can."""
    if status < 500 and _is_spent(status, error):
        return f"the account behind {place.key_env} has no quota left: add credit, or change keys"
    if status == 401 or (status in (400, 403) and _KEY_WORDS.search(error.message)):
        return _key_advice(place)
    if status == 403 and not error.codes & _FILTERED:
        return f"the key in {place.key_env} may not use this model here"
    if status == 404 or (status in (400, 422) and _names_no_model(error, place.model)):
        return _model_advice(error, place)
    return ""


def _is_spent(status: int, error: ServerError) -> bool:
    if status == 402 or error.codes & _SPENT:
        return True
    return status in (400, 403, 429) and _SPENT_WORDS.search(error.message) is not None


def _key_advice(place: Place) -> str:
    if place.key_sent:
        return f"is the key in {place.key_env} right, and meant for this server?"
    return f"no key was sent: set {place.key_env}, or name its variable with api_key_env"


def _names_no_model(error: ServerError, model: str) -> bool:
    if error.codes & _NO_MODEL:
        return True
    return model in error.message and _NO_MODEL_WORDS.search(error.message) is not None


def _model_advice(error: ServerError, place: Place) -> str:
    if _names_no_model(error, place.model):
        return "is the model's name right?"
    return "are base_url (it often ends in /v1) and the model's name right?"

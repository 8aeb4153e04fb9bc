"""The cheapest request that shows key, URL and model to be right."""

import difflib
import re
from typing import TYPE_CHECKING, Final

from prefmill.contracts.chat import Message, Params
from prefmill.contracts.reasons import REJECTED
from prefmill.engines.server_error import parsed, record, records
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import Rejected, Unusable

if TYPE_CHECKING:
    from prefmill.engines.remote import RemoteEngine

_PING: Final = (Message(role="user", content="Hi"),)
_TOO_FEW_TOKENS: Final = re.compile(r"max_\w*tokens", re.IGNORECASE)
"""Models that think refuse one token; by then key, URL and model have been found right."""


async def probe(engine: "RemoteEngine", params: Params) -> None:
    """Raises as `complete`, but for a request that is refused: the lane is then Unusable."""
    listed = await _listed(engine)
    model = engine.listed_as
    if any(name == model or name.endswith(f"/{model}") for name in listed) or await _known(engine):
        engine.proven()
        return
    try:
        await _ask_for_one_token(engine, params)
    except Unusable as error:
        raise Unusable(error.detail + _nearest(model, listed)) from error


async def _listed(engine: "RemoteEngine") -> list[str]:
    """The ids of the server's models, or none if it does not list them. Raises only what a
    completion would raise as well."""
    answer = await engine.client.get(engine.models_url)
    if answer.status in (401, 402, 429):
        raise engine.failure(answer)
    if answer.status != 200:
        return []
    try:
        document = parsed(answer.body)
    except ValueError:
        return []
    data = record(document).get("data", document)
    return [str(model.get("id")) for model in records(data)]


async def _known(engine: "RemoteEngine") -> bool:
    """Whether the server tells of the model alone, as those do that list none or not all."""
    model = engine.listed_as
    answer = await engine.client.get(engine.models_url / model)
    if answer.status != 200:
        return False
    try:
        return record(parsed(answer.body)).get("id") == model
    except ValueError:
        return False


async def _ask_for_one_token(engine: "RemoteEngine", params: Params) -> None:
    few = params.model_copy(update={"max_tokens": 1, "stop": ()})
    try:
        await engine.complete(ChatRequest(messages=_PING, params=few, seed=0))
    except Rejected as error:
        if error.reason == REJECTED and not _TOO_FEW_TOKENS.search(error.detail):
            raise Unusable(error.detail) from error


def _nearest(model: str, listed: list[str]) -> str:
    close = difflib.get_close_matches(model, listed, n=3, cutoff=0.4) or listed[:3]
    return f"; the server lists {len(listed)} models, near it: {', '.join(close)}" if close else ""

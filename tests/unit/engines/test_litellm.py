"""The LiteLLM engine. Its library is no part of the lock: without it, only what is said then is
tested; with it (`pip install litellm`), the wire too."""

from importlib.util import find_spec
from typing import Any

import pytest

from prefmill.contracts.chat import Message, Params
from prefmill.engines.litellm import LiteLLMEngine, LiteLLMOptions
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import Rejected, Transient, Unusable
from prefmill.plugins.registry import load

ASK = ChatRequest((Message(role="user", content="Hi"),), Params(max_tokens=20, stop=("x",)), 7)
DONE = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
with_library = pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed")
without_library = pytest.mark.skipif(find_spec("litellm") is not None, reason="it is installed")


def engine(**options: Any) -> LiteLLMEngine:
    values = {"model": "openai/m", "timeout_s": 20.0} | options
    return LiteLLMEngine(LiteLLMOptions.model_validate(values))


def test_it_is_found_by_its_name_and_counts_as_paid() -> None:
    assert load("engines", "litellm") is LiteLLMEngine
    assert engine().paid


@without_library
async def test_without_the_library_it_says_what_to_install() -> None:
    assert "pip install 'prefmill-shared[litellm]'" in (engine().missing() or "")
    with pytest.raises(Unusable, match="prefmill-shared"):
        await engine().start()


async def test_before_it_is_started_it_says_so() -> None:
    with pytest.raises(Transient, match="not started"):
        await engine().complete(ASK)


@with_library
async def test_it_answers_over_the_wire(
    server: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    server.says(say(DONE))
    asked = engine(base_url=server.url)
    await asked.start()
    completion = await asked.complete(ASK)
    assert (completion.text, completion.usage.output_tokens) == ("Hi.", 2)
    assert server.bodies[0]["max_tokens"] == 20
    assert server.bodies[0]["stop"] == ["x"]


@with_library
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unusable), (404, Unusable), (400, Rejected), (429, Transient), (500, Transient)],
)
async def test_a_failure_is_of_the_kind_of_its_status(
    server: Any, say: Any, monkeypatch: pytest.MonkeyPatch, status: int, kind: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    server.says(say({"error": {"message": "no", "type": "t"}}, status))
    asked = engine(base_url=server.url)
    await asked.start()
    with pytest.raises(kind):
        await asked.complete(ASK)
    assert len(server.bodies) == 1

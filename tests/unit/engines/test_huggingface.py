"""The Hugging Face engine: router, providers and dedicated endpoints, over the wire."""

from typing import Any

import pytest
from huggingface_hub import constants

from prefmill.contracts.chat import Message, Params
from prefmill.engines.huggingface import HuggingFaceEngine, HuggingFaceOptions
from prefmill.engines.simulated import SimulatedOptions, quality_of
from prefmill.engines.simulated.server.app import Access, SimulatedServer, serving
from prefmill.engines.simulated.simulation import Simulation
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import Transient, Unusable
from prefmill.plugins.registry import load

ASK = ChatRequest((Message(role="user", content="Why do rivers bend?"),), Params(max_tokens=200), 7)


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.delenv("HF_BASE_URL", raising=False)


def engine(**options: Any) -> HuggingFaceEngine:
    values = {"model": "org/model", "timeout_s": 20.0} | options
    return HuggingFaceEngine(HuggingFaceOptions.model_validate(values))


def test_it_is_found_by_its_name_and_asks_the_router() -> None:
    assert load("engines", "huggingface") is HuggingFaceEngine
    assert str(engine().chat_url) == "https://router.huggingface.co/v1/chat/completions"
    assert engine().paid


def test_without_a_token_it_says_so_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert engine().missing() is None
    monkeypatch.delenv("HF_TOKEN")
    assert "HF_TOKEN is not set" in (engine().missing() or "")
    at_endpoint = engine(base_url="https://x.eu.aws.endpoints.huggingface.cloud")
    assert "HF_TOKEN is not set" in (at_endpoint.missing() or "")
    assert engine(base_url="http://127.0.0.1:1/v1").missing() is None


def test_a_dedicated_endpoint_is_asked_under_v1() -> None:
    url = "https://x.eu.aws.endpoints.huggingface.cloud"
    for given in (url, f"{url}/", f"{url}/v1"):
        assert str(engine(base_url=given).chat_url) == f"{url}/v1/chat/completions"


async def test_it_answers_over_the_wire_and_finds_its_model_in_the_list() -> None:
    simulation = Simulation(SimulatedOptions())
    access = Access("hf_secret", ("org/model", "org/model:together"))
    async with serving(SimulatedServer(simulation, access), "127.0.0.1", 0) as url:
        for options in ({}, {"provider": "together"}, {"model": "org/model:together"}):
            asked = engine(base_url=f"{url}/v1", **options)
            await asked.start()
            await asked.probe(Params())
            assert 1 <= quality_of((await asked.complete(ASK)).text) <= 5
            await asked.stop()


async def test_the_provider_stands_behind_the_model(server: Any, say: Any) -> None:
    done = {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}
    server.says(say(done))
    asked = engine(base_url=server.url, provider="together")
    await asked.start()
    await asked.complete(ASK)
    await asked.stop()
    assert server.bodies[0]["model"] == "org/model:together"
    assert server.bodies[0]["max_tokens"] == 200
    assert server.asked[0].headers["authorization"] == "Bearer hf_secret"


async def test_the_router_lists_a_model_without_its_provider(server: Any, say: Any) -> None:
    server.says(say({"data": [{"id": "org/model"}]}))
    asked = engine(base_url=server.url, model="org/model:groq")
    await asked.start()
    await asked.probe(Params())
    await asked.stop()
    assert [each.method for each in server.asked] == ["GET"]


def test_another_provider_is_another_model() -> None:
    given = HuggingFaceOptions(model="m", provider="groq").identity()
    assert given == HuggingFaceOptions(model="m:groq").identity()
    assert given != HuggingFaceOptions(model="m").identity()


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "mine", "base_url": "http://h/v1"},
        {"provider": "groq", "model": "m:together"},
        {"provider": "a b"},
        {"endpoint": "a/b/c"},
    ],
)
def test_options_that_contradict_each_other_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=r"endpoint|provider"):
        engine(**options)


def listed(url: str | None, status: str = "running") -> dict[str, Any]:
    about = {
        "state": status,
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z",
    }
    return {
        "name": "mine",
        "model": {"repository": "org/model", "framework": "x", "revision": "r", "task": "t"},
        "status": about | ({"url": url} if url else {}),
        "healthRoute": "/health",
        "type": "protected",
    }


async def test_an_endpoint_is_found_by_its_name(
    server: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", f"{server.url}/endpoints")
    done = {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}
    server.says(say(listed(server.url)), say(done))
    asked = engine(endpoint="team/mine")
    await asked.start()
    assert (await asked.complete(ASK)).text == "Hi."
    await asked.stop()
    assert [each.path for each in server.asked] == [
        "/v1/endpoints/endpoint/team/mine",
        "/v1/chat/completions",
    ]


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((listed(None, "paused"),), Unusable, "is paused and has no URL"),
        (({"error": "no"}, 404), Unusable, "is its name right"),
        (({"error": "no"}, 401), Unusable, "may the key in HF_TOKEN read it"),
        (({"error": "no"}, 400), Transient, "400 when asked"),
    ],
)
async def test_an_endpoint_that_is_not_there_says_what_to_do(
    server: Any, say: Any, monkeypatch: pytest.MonkeyPatch, answer: Any, kind: Any, said: str
) -> None:
    monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", f"{server.url}/endpoints")
    server.says(say(*answer))
    with pytest.raises(kind, match=said) as caught:
        await engine(endpoint="team/mine").start()
    assert "hf_secret" not in str(caught.value)

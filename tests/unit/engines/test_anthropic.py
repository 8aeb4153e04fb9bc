"""The Anthropic engine against a server on loopback that sends exact bytes."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from prefmill.contracts.chat import Message, Params, Usage
from prefmill.contracts.reasons import EMPTY, REFUSED
from prefmill.engines.anthropic import AnthropicEngine, AnthropicOptions
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import EngineError, Rejected, Transient, Unusable

Start = Callable[..., Awaitable[AnthropicEngine]]
ASK = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hi"),
    Message(role="assistant", content="Hello."),
    Message(role="system", content="Be kind."),
    Message(role="user", content="And?"),
)


def request(schema: Any = None, **params: Any) -> ChatRequest:
    return ChatRequest(ASK, Params.model_validate(params), 7, schema)


def message(*blocks: Any, stop: str = "end_turn", **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x-20260101",
        "content": list(blocks),
        "stop_reason": stop,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": None,
            "output_tokens": 3,
        },
    } | fields


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


THINKING = {"type": "thinking", "thinking": "hm", "signature": "x"}


@pytest.fixture
async def start(server: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Starts engines at the scripted server, and stops them."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    engines: list[AnthropicEngine] = []

    async def _start(**options: Any) -> AnthropicEngine:
        base = server.url.removesuffix("/v1")
        options = {"model": "claude-x", "base_url": base, "timeout_s": 20.0} | options
        engines.append(AnthropicEngine(AnthropicOptions.model_validate(options)))
        await engines[-1].start()
        return engines[-1]

    yield _start
    for engine in engines:
        await engine.stop()


async def test_the_text_blocks_are_the_answer_and_thinking_is_skipped(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say(message(THINKING, text("Hello "), {"type": "new"}, text("you."))))
    completion = await (await start()).complete(request())
    assert completion.text == "Hello you."
    assert completion.finish_reason == "stop"
    assert completion.model == "claude-x-20260101"
    assert completion.usage == Usage(input_tokens=15, output_tokens=3)


async def test_system_prompts_and_parameters_go_where_this_wire_has_them(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say(message(text("ok"))))
    await (await start(extra_body={"metadata": {"user_id": "u"}})).complete(
        request(max_tokens=64, temperature=0.0, top_p=0.9, top_k=40, stop=["END"])
    )
    assert server.bodies == [
        {
            "model": "claude-x",
            "system": "Be brief.\n\nBe kind.",
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello."},
                {"role": "user", "content": "And?"},
            ],
            "max_tokens": 64,
            "temperature": 0.0,
            "top_p": 0.9,
            "top_k": 40,
            "stop_sequences": ["END"],
            "metadata": {"user_id": "u"},
        }
    ]
    sent = server.asked[0]
    assert sent.path == "/v1/messages"
    assert sent.headers["x-api-key"] == "sk-ant-secret"
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in sent.headers


async def test_max_tokens_is_always_sent_and_what_the_wire_has_not_is_said_once(
    server: Any, say: Any, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server.says(say(message(text("ok"))))
    engine = await start()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await engine.complete(request(min_p=0.1, frequency_penalty=1.0, top_k=-1))
    assert all(set(b) == {"model", "messages", "system", "max_tokens"} for b in server.bodies)
    assert server.bodies[0]["max_tokens"] == 4096
    said = [record.message for record in caplog.records]
    assert len(said) == 1
    assert "this API has no frequency_penalty, min_p: not sent" in said[0]


async def test_a_schema_goes_into_the_output_config(server: Any, say: Any, start: Start) -> None:
    server.says(say(message(text("{}"))))
    schema = {"type": "object"}
    await (await start()).complete(request(schema))
    engine = await start(structured=True, extra_body={"output_config": {"effort": "low"}})
    await engine.complete(request(schema))
    plain, structured = server.bodies
    assert "output_config" not in plain
    assert structured["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "pause_turn"),
    ],
)
async def test_stop_reasons_are_said_in_the_words_of_the_other_wire(
    server: Any, say: Any, start: Start, stop_reason: str, finish_reason: str
) -> None:
    server.says(say(message(text("x"), stop=stop_reason)))
    assert (await (await start()).complete(request())).finish_reason == finish_reason


async def failure(engine: AnthropicEngine) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await engine.complete(request(temperature=0.5))
    return caught.value


@pytest.mark.parametrize(
    ("document", "reason", "raw"),
    [
        (message(), EMPTY, ""),
        (message(THINKING, stop="max_tokens"), EMPTY, ""),
        (message(text(" \n")), EMPTY, " \n"),
        (message(text("I wi"), stop="refusal"), REFUSED, "I wi"),
    ],
)
async def test_an_answer_without_use_is_rejected_and_what_was_paid_is_kept(
    server: Any, say: Any, start: Start, document: Any, reason: str, raw: str
) -> None:
    server.says(say(document))
    error = await failure(await start())
    assert isinstance(error, Rejected)
    assert (error.reason, error.raw, error.model) == (reason, raw, "claude-x-20260101")
    assert error.usage == Usage(input_tokens=15, output_tokens=3)


def trouble(kind: str, words: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (529, trouble("overloaded_error", "Overloaded"), Transient),
        (429, trouble("rate_limit_error", "slow down"), Transient),
        (500, trouble("api_error", "Internal server error"), Transient),
        (200, trouble("overloaded_error", "Overloaded"), Transient),
        (400, trouble("invalid_request_error", "prompt is too long: 250000 tokens"), Rejected),
        (413, trouble("request_too_large", "Request exceeds the maximum size"), Rejected),
        (400, trouble("invalid_request_error", "Your credit balance is too low"), Unusable),
        (402, trouble("billing_error", "pay"), Unusable),
        (401, trouble("authentication_error", "invalid x-api-key sk-ant-secret"), Unusable),
        (403, trouble("permission_error", "not yours"), Unusable),
        (404, trouble("not_found_error", "model: claude-x"), Unusable),
        (200, {"hello": "world"}, Unusable),
        (200, {"content": "text"}, Unusable),
    ],
)
async def test_the_errors_of_this_wire_are_told_apart(
    server: Any, say: Any, start: Start, status: int, body: Any, kind: type[EngineError]
) -> None:
    server.says(say(body, status))
    error = await failure(await start())
    assert type(error) is kind, error.detail
    assert "secret" not in error.detail


@pytest.mark.parametrize(
    "words", ["`temperature` is deprecated for this model.",
              "temperature: Extra inputs are not permitted"]
)  # fmt: skip
async def test_a_model_without_temperature_is_asked_without_it(
    server: Any, say: Any, start: Start, words: str
) -> None:
    server.says(say(trouble("invalid_request_error", words), 400), say(message(text("ok"))))
    engine = await start()
    for _ in range(2):
        assert (await engine.complete(request(temperature=0.5, top_p=0.9))).text == "ok"
    assert ["temperature" in body for body in server.bodies] == [True, False, False]
    assert all("top_p" in body for body in server.bodies)


async def test_a_listed_model_is_probed_without_a_completion(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say({"data": [{"type": "model", "id": "claude-x"}], "has_more": False}))
    await (await start()).probe(Params())
    assert [asked.path for asked in server.asked] == ["/v1/models?limit=1000"]


async def test_an_alias_that_is_not_listed_is_asked_for_one_token(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say({"data": [{"id": "claude-x-20260101"}]}), say(message(stop="max_tokens")))
    await (await start()).probe(Params(max_tokens=500))
    assert server.bodies[0]["max_tokens"] == 1


async def test_an_unknown_model_is_named_beside_those_that_are_near(
    server: Any, say: Any, start: Start
) -> None:
    server.says(
        say({"data": [{"id": "claude-x-1"}]}),
        say(trouble("not_found_error", "model: claude-x"), 404),
    )
    with pytest.raises(Unusable, match="near it: claude-x-1"):
        await (await start()).probe(Params())


@pytest.mark.parametrize("base", ["http://h:1", "http://h:1/", "http://h:1/v1"])
def test_the_base_url_may_end_in_the_version_or_not(base: str) -> None:
    engine = AnthropicEngine(AnthropicOptions(model="m", base_url=base))
    assert str(engine.chat_url) == "http://h:1/v1/messages"


def test_the_key_is_wanted_at_the_vendor_only() -> None:
    assert "ANTHROPIC_API_KEY is not set" in str(
        AnthropicEngine(AnthropicOptions(model="m")).missing()
    )
    local = AnthropicEngine(AnthropicOptions(model="m", base_url="http://127.0.0.1:1"))
    assert local.missing() is None
    assert not local.paid

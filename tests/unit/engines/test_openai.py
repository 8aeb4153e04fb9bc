"""The OpenAI engine against a server on loopback that sends exact bytes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from prefmill.contracts.chat import Message, Params, Usage
from prefmill.contracts.reasons import EMPTY, REFUSED
from prefmill.engines.openai import OpenAIEngine, OpenAIOptions
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import EngineError, RecipeError, Rejected, Transient, Unusable

ASK = (Message(role="system", content="Be brief."), Message(role="user", content="Hi"))
Start = Callable[..., Awaitable[OpenAIEngine]]


def request(seed: int = 7, schema: Any = None, **params: Any) -> ChatRequest:
    return ChatRequest(ASK, Params.model_validate(params), seed, schema)


def chat(content: Any = "Hello.", finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "model": "gpt-x-2026-01-01",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish,
            }
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    }


def trouble(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


@pytest.fixture
async def start(server: Any) -> AsyncIterator[Start]:
    """Starts engines at the scripted server, and stops them."""
    engines: list[OpenAIEngine] = []

    async def _start(**options: Any) -> OpenAIEngine:
        options = {"model": "gpt-x", "base_url": server.url, "timeout_s": 20.0} | options
        engines.append(OpenAIEngine(OpenAIOptions.model_validate(options)))
        await engines[-1].start()
        return engines[-1]

    yield _start
    for engine in engines:
        await engine.stop()


async def failure(engine: OpenAIEngine, asked: ChatRequest | None = None) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await engine.complete(asked or request())
    return caught.value


async def test_an_answer_comes_back_with_who_gave_it_and_what_it_cost(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say(chat("Hello.", reasoning_content="thinking …")))
    completion = await (await start()).complete(request())
    assert completion.text == "Hello."
    assert completion.finish_reason == "stop"
    assert completion.model == "gpt-x-2026-01-01"
    assert completion.usage == Usage(input_tokens=11, output_tokens=3)


async def test_parameters_go_out_by_the_names_of_the_wire(
    server: Any, say: Any, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    monkeypatch.setenv("TEAM", "blue")
    server.says(say(chat()))
    engine = await start(
        headers={"X-Team": "$TEAM"}, extra_body={"reasoning_effort": "low", "top_k": 9}
    )
    asked = request(
        (1 << 62) + 5,
        max_tokens=64,
        temperature=0.0,
        top_p=0.9,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.5,
        stop=["END"],
        extra_body={"top_k": 3},
    )
    await engine.complete(asked)
    assert server.bodies == [
        {
            "model": "gpt-x",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
            ],
            "seed": 5,
            "temperature": 0.0,
            "top_p": 0.9,
            "min_p": 0.1,
            "presence_penalty": 0.5,
            "repetition_penalty": 1.1,
            "max_tokens": 64,
            "stop": ["END"],
            "reasoning_effort": "low",
            "top_k": 3,
        }
    ]
    sent = server.asked[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer sk-secret"
    assert sent.headers["x-team"] == "blue"


async def test_what_is_not_set_is_not_sent(server: Any, say: Any, start: Start) -> None:
    server.says(say(chat()))
    await (await start(omit=["seed"])).complete(request())
    assert set(server.bodies[0]) == {"model", "messages"}
    assert "authorization" not in server.asked[0].headers


async def test_a_schema_goes_out_only_where_the_recipe_says_structured(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say(chat()))
    schema = {"type": "object", "properties": {}}
    await (await start()).complete(request(schema=schema))
    await (await start(structured=True)).complete(request(schema=schema))
    plain, structured = server.bodies
    assert "response_format" not in plain
    assert structured["response_format"]["json_schema"]["schema"] == schema


async def test_calls_share_kept_connections(server: Any, say: Any, start: Start) -> None:
    server.says(say(chat()))
    engine = await start()
    answers = await asyncio.gather(*(engine.complete(request(seed)) for seed in range(50)))
    assert {answer.text for answer in answers} == {"Hello."}
    assert sorted(body["seed"] for body in server.bodies) == list(range(50))


CONTENTS: list[tuple[Any, str]] = [
    ("plain", "plain"),
    ([{"type": "text", "text": "two "}, {"type": "text", "text": "parts"}], "two parts"),
    ([{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "said"}], "said"),
    ("<think>so</think>5", "<think>so</think>5"),
    ("  kept  ", "  kept  "),
]


@pytest.mark.parametrize(("content", "text"), CONTENTS)
async def test_content_is_read_as_text_or_parts(
    server: Any, say: Any, start: Start, content: Any, text: str
) -> None:
    server.says(say(chat(content)))
    assert (await (await start()).complete(request())).text == text


async def test_odd_usage_and_a_missing_model_do_no_harm(
    server: Any, say: Any, start: Start
) -> None:
    odd = chat() | {"usage": {"prompt_tokens": -4, "completion_tokens": "many"}, "model": None}
    del odd["choices"][0]["finish_reason"]
    server.says(say(odd), say({"choices": chat()["choices"], "error": None}))
    engine = await start()
    for _ in range(2):
        completion = await engine.complete(request())
        assert (completion.usage, completion.model) == (Usage(), "gpt-x")


REJECTIONS: list[tuple[dict[str, Any], str, str]] = [
    (chat(""), EMPTY, "it ended with stop"),
    (chat(" \n\t"), EMPTY, "no text"),
    (chat(None, "length"), EMPTY, "max_tokens too small"),
    (chat(None, "tool_calls", tool_calls=[{"id": "t"}]), EMPTY, "tool_calls"),
    (chat("half an ans", "content_filter"), REFUSED, "content filter"),
    (chat(None, refusal="I will not."), REFUSED, "I will not"),
]


@pytest.mark.parametrize(("document", "reason", "words"), REJECTIONS)
async def test_an_answer_without_use_is_rejected_and_what_was_paid_is_kept(
    server: Any, say: Any, start: Start, document: Any, reason: str, words: str
) -> None:
    server.says(say(document))
    error = await failure(await start())
    assert isinstance(error, Rejected)
    assert error.reason == reason
    assert words in error.detail
    assert error.usage == Usage(input_tokens=11, output_tokens=3)
    assert error.model == "gpt-x-2026-01-01"
    assert error.raw == (document["choices"][0]["message"]["content"] or "")


async def test_nul_and_lone_surrogates_in_an_answer_reach_the_call_layer(
    server: Any, say: Any, start: Start
) -> None:
    raw = b'{"choices":[{"message":{"content":"a\\u0000b\\ud800c\\ud83d\\ude42"}}]}'
    server.says(say(raw))
    assert (await (await start()).complete(request())).text == "a\0b\ud800c🙂"


async def test_a_lone_surrogate_in_a_prompt_can_be_sent(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say(chat()))
    asked = ChatRequest((Message(role="user", content="a\ud800b"),), Params(), 1)
    await (await start()).complete(asked)
    assert server.bodies[0]["messages"][0]["content"] == "a\ud800b"


class Markup(str):
    """As templates of other libraries render."""


async def test_a_string_of_a_kind_of_its_own_can_be_sent(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say(chat()))
    asked = ChatRequest((Message(role="user", content=Markup("<b>")),), Params(), 1)
    await (await start()).complete(asked)
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "<b>"}]


@pytest.fixture
def passing(say: Any) -> list[bytes]:
    """Answers that are nobody's fault and pass."""
    whole = say(chat())
    return [
        say.close + whole[:-20],
        say(b'{"choices": [{"mess'),
        say(b""),
        say.reset,
        say.close,
        say.close + b"HTTP/1.1 2",
        b"NOT HTTP AT ALL\r\n\r\n",
        say({"error": {"message": "upstream", "code": 502}}),
        say({"error": "upstream"}),
        say(b"", 500),
        say(b"<html><title>Bad Gateway</title></html>", 502, "text/html"),
    ]


async def test_broken_answers_are_transient(
    server: Any, start: Start, passing: list[bytes]
) -> None:
    for said in passing:
        server.says(said)
        error = await failure(await start())
        assert isinstance(error, Transient), (said, error)
        assert error.detail.startswith(f"gpt-x at 127.0.0.1:{server.port}: ")


async def test_a_web_page_is_a_wrong_url_at_first_and_passing_later(
    server: Any, say: Any, start: Start
) -> None:
    page = say(b"<!DOCTYPE html><html><title>Welcome</title></html>", 200, "text/html")
    for odd in (page, say({"hello": "world"}), say([1, 2]), say({"choices": []})):
        server.says(odd, say(chat()), odd)
        engine = await start()
        first = await failure(engine)
        assert isinstance(first, Unusable), odd
        assert "is base_url right?" in first.detail
        await engine.complete(request())
        assert isinstance(await failure(engine), Transient)


async def test_a_server_that_streams_is_told_apart(server: Any, say: Any, start: Start) -> None:
    server.says(say(b'data: {"choices": []}\n\n', 200, "text/event-stream"))
    error = await failure(await start())
    assert isinstance(error, Unusable)
    assert "stream" in error.detail


async def test_no_answer_in_time_is_transient(server: Any, say: Any, start: Start) -> None:
    server.says(say.hang)
    error = await failure(await start(timeout_s=0.05))
    assert isinstance(error, Transient)
    assert "time-out: no whole answer in 0.05 s" in error.detail


async def test_a_server_that_is_not_there_is_transient(start: Start, server: Any) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as gone:
        port = gone.sockets[0].getsockname()[1]
    error = await failure(await start(base_url=f"http://127.0.0.1:{port}/v1"))
    assert isinstance(error, Transient)
    assert "cannot connect" in error.detail


async def test_a_key_that_a_server_echoes_stays_out_of_messages(
    server: Any, say: Any, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    server.says(say(trouble("no such key: sk-very-secret"), 401))
    engine = await start(api_key_env="MY_KEY")
    error = await failure(engine)
    assert isinstance(error, Unusable)
    assert "sk-very" not in error.detail
    assert "MY_KEY" in error.detail
    assert "sk-very" not in repr(engine) + repr(engine.options)


async def test_a_redirect_is_not_followed_with_the_key(server: Any, say: Any, start: Start) -> None:
    server.says(say(b"", 307, Location=f"{server.url}/elsewhere"))
    error = await failure(await start())
    assert isinstance(error, Unusable)
    assert len(server.asked) == 1


async def test_a_refused_sampling_parameter_is_left_out_for_good_and_said_once(
    server: Any, say: Any, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    no = trouble(
        "Unsupported value: 'temperature' does not support 0 with this model.",
        param="temperature",
        code="unsupported_value",
    )
    server.says(say(no, 400), say(chat()))
    engine = await start()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert (await engine.complete(request(temperature=0.0, top_p=0.5))).text == "Hello."
    assert ["temperature" in body for body in server.bodies] == [True, False, False, False]
    assert all(body["top_p"] == 0.5 for body in server.bodies)
    said = [record.message for record in caplog.records if "left out" in record.message]
    assert len(said) == 1
    assert "temperature is left out from now on" in said[0]


async def test_max_tokens_takes_its_newer_name_once_asked_to(
    server: Any, say: Any, start: Start
) -> None:
    no = trouble(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        param="max_tokens",
        code="unsupported_parameter",
    )
    server.says(say(no, 400), say(no, 400), say(chat()))
    engine = await start()
    both = (engine.complete(request(max_tokens=5)) for _ in range(2))
    assert [answer.text for answer in await asyncio.gather(*both)] == ["Hello."] * 2
    old, newer = server.bodies[:2], server.bodies[2:]
    assert all("max_tokens" in body for body in old)
    assert all(body.get("max_completion_tokens") == 5 for body in newer)


async def test_a_server_that_refuses_both_names_rejects_the_request(
    server: Any, say: Any, start: Start
) -> None:
    no = trouble("Unknown parameter: max_tokens, max_completion_tokens", code="unknown_parameter")
    server.says(say(no, 400))
    error = await failure(await start(), request(max_tokens=5))
    assert isinstance(error, Rejected)
    assert len(server.bodies) == 2


async def test_a_fixed_name_for_max_tokens_is_kept(server: Any, say: Any, start: Start) -> None:
    no = trouble("Unsupported parameter: 'max_completion_tokens'", code="unsupported_parameter")
    server.says(say(no, 400))
    engine = await start(max_tokens_field="max_completion_tokens")
    error = await failure(engine, request(max_tokens=5))
    assert isinstance(error, Rejected)
    assert "name max_completion_tokens under `omit`" in error.detail
    assert len(server.bodies) == 1


async def test_no_other_parameter_is_ever_dropped(server: Any, say: Any, start: Start) -> None:
    no = trouble("Unsupported parameter: 'stop'", param="stop", code="unsupported_parameter")
    server.says(say(no, 400))
    error = await failure(await start(), request(stop=["END"]))
    assert isinstance(error, Rejected)
    assert "name stop under `omit`" in error.detail
    server.says(say(chat()))
    await (await start(omit=["stop"])).complete(request(stop=["END"]))
    assert "stop" not in server.bodies[0]


async def test_a_listed_model_is_probed_without_a_completion(
    server: Any, say: Any, start: Start
) -> None:
    for listing in ({"data": [{"id": "other"}, {"id": "gpt-x"}]}, [{"id": "models/gpt-x"}]):
        server.says(say(listing))
        await (await start()).probe(Params())
        assert [(asked.method, asked.path) for asked in server.asked] == [("GET", "/v1/models")]


@pytest.mark.parametrize("listing", [b"<html>", b'{"data": [{"id": "gpt-y"}]}', b"[3]", b"null"])
async def test_a_model_that_is_not_listed_is_asked_for_one_token(
    server: Any, say: Any, start: Start, listing: bytes
) -> None:
    server.says(say(listing), say(chat("", "length")))
    await (await start()).probe(Params(temperature=0.5, max_tokens=900, stop=("x",)))
    (body,) = server.bodies
    assert (body["max_tokens"], body["temperature"]) == (1, 0.5)
    assert "stop" not in body


async def test_a_server_without_a_list_is_asked_for_one_token(
    server: Any, say: Any, start: Start
) -> None:
    for status in (403, 404, 405, 500):
        server.says(say(b"", status), say(chat()))
        await (await start()).probe(Params())
        assert len(server.bodies) == 1


async def test_a_wrong_key_stops_the_probe_at_the_list(server: Any, say: Any, start: Start) -> None:
    server.says(say(trouble("Incorrect API key provided"), 401))
    with pytest.raises(Unusable, match="no key was sent: set OPENAI_API_KEY"):
        await (await start()).probe(Params())
    assert server.bodies == []


@pytest.mark.parametrize("status", [400, 404])
async def test_an_unknown_model_is_named_beside_those_that_are_near(
    server: Any, say: Any, start: Start, status: int
) -> None:
    server.says(
        say({"data": [{"id": "gpt-x-mini"}, {"id": "llama"}]}),
        say(trouble("The model `gpt-x` does not exist", code="model_not_found"), status),
    )
    with pytest.raises(Unusable) as caught:
        await (await start()).probe(Params())
    assert "is the model's name right?" in caught.value.detail
    assert "near it: gpt-x-mini" in caught.value.detail
    assert "\n" not in caught.value.detail


async def test_a_page_at_the_probe_asks_whether_the_url_is_right(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say(b"<html><title>Home</title></html>", 200, "text/html"))
    with pytest.raises(Unusable, match="web page: Home; is base_url right"):
        await (await start()).probe(Params())


async def test_the_probe_is_not_stopped_by_a_model_that_needs_more_than_a_token(
    server: Any, say: Any, start: Start
) -> None:
    short = trouble("Could not finish the message because max_tokens was reached.")
    server.says(say(b"", 404), say(short, 400))
    await (await start()).probe(Params())


async def test_a_request_that_is_refused_at_the_probe_makes_the_lane_unusable(
    server: Any, say: Any, start: Start
) -> None:
    server.says(say(b"", 404), say(trouble("temperature must be at most 2"), 400))
    with pytest.raises(Unusable, match="temperature must be at most 2"):
        await (await start()).probe(Params(temperature=9.0))


async def test_a_busy_server_at_the_probe_is_transient(server: Any, say: Any, start: Start) -> None:
    server.says(say(b"", 429, Retry_After="3"))
    with pytest.raises(Transient) as caught:
        await (await start()).probe(Params())
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 3


def made(**options: Any) -> OpenAIEngine:
    return OpenAIEngine(OpenAIOptions.model_validate({"model": "m"} | options))


def test_what_the_environment_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "OPENAI_API_KEY is not set" in str(made().missing())
    assert made(base_url="http://llama:8000/v1").missing() is None
    named = made(base_url="http://llama:8000/v1", api_key_env="LLAMA_KEY", headers={"X": "${TEAM}"})
    assert "TEAM and LLAMA_KEY are not set" in str(named.missing())
    azure = made(headers={"api-key": "$AZURE_KEY"})
    assert "AZURE_KEY" in str(azure.missing())
    assert "OPENAI" not in str(azure.missing())
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert made().missing() is None
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    assert made().missing() is None


def test_only_servers_on_this_machine_are_free() -> None:
    for url in ("http://localhost:8000/v1", "http://127.0.0.2/v1", "http://[::1]:8000/v1"):
        assert not made(base_url=url).paid
    for url in ("http://llama:8000/v1", "https://api.openai.com/v1", "http://10.0.0.1/v1"):
        assert made(base_url=url).paid
    assert made().paid


@pytest.mark.parametrize(
    ("base_url", "chat_url"),
    [
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1/chat/completions"),
        ("https://h/x?api-version=2", "https://h/x/chat/completions?api-version=2"),
    ],
)
def test_the_chat_url_lies_below_the_base(base_url: str, chat_url: str) -> None:
    assert str(made(base_url=base_url).chat_url) == chat_url


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_url": "llama:8000"}, "is no URL"),
        ({"base_url": "ftp://h/v1"}, "is no URL"),
        ({"base_url": "http://user:pw@h/v1"}, "password"),
        ({"headers": {"Authorization": "Bearer sk-1"}}, "write \\$NAME"),
        ({"extra_body": {"stream": True}}, "set by prefmill itself"),
        ({"timeout_s": 0}, "greater than 0"),
        ({"base_ulr": "x"}, "Extra inputs"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(**options)


def test_a_wrong_url_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "nonsense")
    with pytest.raises(RecipeError, match="OPENAI_BASE_URL"):
        made()


async def test_a_key_with_a_line_break_inside_is_unusable(
    monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a\r\nX: b")
    with pytest.raises(Unusable, match="line break"):
        await start()


def test_the_url_and_the_key_are_no_part_of_the_identity() -> None:
    here = made(base_url="http://a/v1", api_key_env="A", headers={"X": "1"}, timeout_s=5)
    there = made(base_url="http://b/v1", max_tokens_field="max_tokens")
    assert here.options.identity() == there.options.identity()
    assert made(extra_body={"a": 1}).options.identity() != there.options.identity()
    assert made(structured=True).options.identity() != there.options.identity()
    assert made(omit=("seed", "top_p")).options.identity() == (
        made(omit=("top_p", "seed")).options.identity()
    )


async def test_a_stopped_engine_says_so(start: Start) -> None:
    engine = await start()
    await engine.stop()
    await engine.stop()
    assert isinstance(await failure(engine), Transient)

"""`prefmill simulate` as real clients see it: the openai and anthropic SDKs, aiohttp, and bytes."""

import asyncio
import io
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from click.testing import CliRunner

from prefmill.cli.simulate import simulate
from prefmill.engines.simulated import SimulatedOptions, quality_of
from prefmill.engines.simulated.quality import marker
from prefmill.engines.simulated.server.app import LARGEST_BODY, Access, SimulatedServer, serving
from prefmill.engines.simulated.simulation import Simulation

PROMPT = "Why do rivers bend?"
JUDGED = "Aspect: truthfulness\n\n" + "\n".join(
    f"<text {n}>\nAn answer. {marker(quality)}\n</text {n}>" for n, quality in enumerate((3, 5), 1)
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        f"text_{n}": {"type": "object", "properties": {"rating": {"type": "integer"}}}
        for n in (1, 2)
    },
}
TRUST = ssl.create_default_context()
"""One for all clients: making it takes longer than the calls."""

COMMAND = [sys.executable, "-c", "from prefmill.cli.simulate import simulate; simulate()"]


@asynccontextmanager
async def serve(
    models: tuple[str, ...] = (), api_key: str = "", **options: Any
) -> AsyncIterator[str]:
    simulation = Simulation(SimulatedOptions.model_validate(options))
    async with serving(SimulatedServer(simulation, Access(api_key, models)), "127.0.0.1", 0) as url:
        yield url


@asynccontextmanager
async def openai_client(url: str, key: str = "k") -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1",
        api_key=key,
        max_retries=0,
        timeout=5,
        http_client=openai.DefaultAsyncHttpxClient(verify=TRUST),
    ) as client:
        yield client


@asynccontextmanager
async def anthropic_client(url: str, key: str = "k") -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=url,
        api_key=key,
        max_retries=0,
        timeout=5,
        http_client=anthropic.DefaultAsyncHttpxClient(verify=TRUST),
    ) as client:
        yield client


async def chat(url: str, prompt: str = PROMPT, key: str = "k", **fields: Any) -> Any:
    async with openai_client(url, key) as client:
        return await client.chat.completions.create(
            **{"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}
        )


async def message(url: str, prompt: str = PROMPT, key: str = "k", **fields: Any) -> Any:
    turns = [{"role": "user", "content": prompt}]
    async with anthropic_client(url, key) as client:
        return await client.messages.create(
            **{"model": "m", "max_tokens": 500, "messages": turns, **fields}
        )


async def stats(url: str, method: str = "GET", path: str = "/stats") -> dict[str, Any]:
    async with aiohttp.request(method, url + path) as response:
        return await response.json()


async def test_an_openai_client_gets_the_same_completion_for_the_same_request() -> None:
    async with serve() as url:
        one, two = [await chat(url, seed=7, max_tokens=300) for _ in range(2)]
    assert one.choices[0].message.content == two.choices[0].message.content
    assert 1 <= quality_of(one.choices[0].message.content) <= 5
    assert (one.choices[0].finish_reason, one.model, one.object) == ("stop", "m", "chat.completion")
    assert one.usage.prompt_tokens == -(-len(PROMPT) // 4)
    assert one.usage.total_tokens == one.usage.prompt_tokens + one.usage.completion_tokens


async def test_an_openai_client_sends_parts_stops_and_the_newer_limit() -> None:
    parts = [{"type": "text", "text": PROMPT}]
    async with serve() as url:
        turns = [{"role": "developer", "content": "Short."}, {"role": "user", "content": parts}]
        cut = await chat(url, messages=turns, max_completion_tokens=3)
        stopped = await chat(url, stop="quality")
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 3)
    assert stopped.choices[0].message.content.endswith("(A simulated answer of ")


async def test_an_anthropic_client_gets_the_same_message_for_the_same_request() -> None:
    async with serve() as url:
        one, two = [await message(url, system="Be brief.") for _ in range(2)]
        other = await message(url, system=[{"type": "text", "text": "Be long."}])
    assert one.content == two.content
    assert one.content != other.content
    assert 1 <= quality_of(one.content[0].text) <= 5
    assert (one.stop_reason, one.stop_sequence, one.model) == ("end_turn", None, "m")
    assert one.usage.input_tokens == -(-len(PROMPT + "Be brief.") // 4)


async def test_an_anthropic_client_learns_why_a_message_ended() -> None:
    async with serve() as url:
        cut = await message(url, max_tokens=2)
        stopped = await message(url, stop_sequences=["quality"])
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 2)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "quality")


async def test_judges_rate_by_quality_on_both_wires() -> None:
    async with serve() as url:
        one = (await chat(url, JUDGED)).choices[0].message.content
        two = (await message(url, JUDGED)).content[0].text
    assert [line for line in one.split("\n") if line.startswith("Rating")] == [
        "Rating: 3",
        "Rating: 5",
    ]
    assert one == two


async def test_both_wires_answer_in_json_when_handed_a_schema() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "v", "strict": True, "schema": SCHEMA}}
    config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    async with serve() as url:
        one = (await chat(url, JUDGED, response_format=wanted)).choices[0].message.content
        two = (await message(url, JUDGED, output_config=config)).content[0].text
    assert json.loads(one) == json.loads(two) == {"text_1": {"rating": 3}, "text_2": {"rating": 5}}


async def test_streams_say_what_whole_answers_say() -> None:
    async with serve() as url, openai_client(url) as one, anthropic_client(url) as two:
        turns: Any = [{"role": "user", "content": PROMPT}]
        options: Any = {"include_usage": True}
        stream = await one.chat.completions.create(
            model="m", messages=turns, seed=3, stream=True, stream_options=options
        )
        chunks = [chunk async for chunk in stream]
        async with two.messages.stream(model="m", max_tokens=500, messages=turns) as events:
            final = await events.get_final_message()
        whole, told = await chat(url, seed=3), await message(url)
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert (final.content[0].text, final.stop_reason) == (told.content[0].text, "end_turn")


async def test_a_wrong_key_is_an_authentication_error_on_both_wires() -> None:
    async with serve(api_key="right") as url:
        with pytest.raises(openai.AuthenticationError) as one:
            await chat(url, key="wrong")
        with pytest.raises(anthropic.AuthenticationError) as two:
            await message(url, key="wrong")
        with pytest.raises(openai.AuthenticationError):
            async with openai_client(url, "wrong") as client:
                await client.models.list()
        assert (await chat(url, key="right")).model == "m"
        assert (await message(url, key="right")).model == "m"
    assert (one.value.code, one.value.type) == ("invalid_api_key", "invalid_request_error")
    assert two.value.type == "authentication_error"


async def test_an_unknown_model_is_not_found_on_both_wires() -> None:
    async with serve(models=("a", "b")) as url:
        with pytest.raises(openai.NotFoundError) as one:
            await chat(url, model="c")
        with pytest.raises(anthropic.NotFoundError) as two:
            await message(url, model="c")
        assert (await chat(url, model="b")).model == "b"
    assert one.value.code == "model_not_found"
    assert two.value.type == "not_found_error"


async def test_both_clients_list_and_look_up_models() -> None:
    async with (
        serve(models=("a", "b")) as url,
        openai_client(url) as one,
        anthropic_client(url) as two,
    ):
        assert [m.id async for m in one.models.list()] == ["a", "b"]
        assert [m.id async for m in two.models.list()] == ["a", "b"]
        assert (await one.models.retrieve("b")).id == "b"
        assert (await two.models.retrieve("b")).display_name == "b"
        with pytest.raises(openai.NotFoundError):
            await one.models.retrieve("c")


async def test_a_rate_limit_is_a_typed_error_with_retry_after() -> None:
    async with serve(faults={"429": 1.0}, retry_after_s=1.5) as url:
        with pytest.raises(openai.RateLimitError) as one:
            await chat(url)
        with pytest.raises(anthropic.RateLimitError) as two:
            await message(url)
    for caught in (one, two):
        assert caught.value.response.headers["retry-after"] == "2"
        assert caught.value.response.headers["retry-after-ms"] == "1500"
    assert one.value.code == "rate_limit_exceeded"
    assert two.value.type == "rate_limit_error"


@pytest.mark.parametrize(("fault", "theirs"), [("500", 500), ("503", 529)])
async def test_server_errors_come_in_each_wires_shape(fault: str, theirs: int) -> None:
    async with serve(faults={fault: 1.0}) as url:
        with pytest.raises(openai.InternalServerError) as one:
            await chat(url)
        with pytest.raises(anthropic.APIStatusError) as two:
            await message(url)
    assert (one.value.status_code, one.value.type) == (int(fault), "server_error")
    assert two.value.status_code == theirs
    assert two.value.type == {500: "api_error", 529: "overloaded_error"}[theirs]


async def test_a_client_that_retries_gets_through_faults() -> None:
    async with (
        serve(faults={"429": 0.3, "reset": 0.2}, retry_after_s=0) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=12) as client,
    ):
        for case in range(4):
            turns: Any = [{"role": "user", "content": f"Case {case}"}]
            assert (await client.chat.completions.create(model="m", messages=turns)).choices


async def test_a_reset_drops_the_connection_in_the_middle_of_the_answer() -> None:
    async with serve(faults={"reset": 1.0}) as url:
        for stream in (False, True):
            body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
            async with aiohttp.ClientSession() as session:
                response = await session.post(f"{url}/v1/chat/completions", json=body)
                assert response.status == 200
                with pytest.raises(aiohttp.ClientError):
                    await response.read()
        assert (await stats(url))["by_status"] == {"reset": 2}


async def raw(url: str, data: Any, path: str = "/v1/chat/completions") -> tuple[int, bytes]:
    async with aiohttp.request("POST", url + path, data=data) as response:
        return response.status, await response.read()


def body(**fields: Any) -> str:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], **fields})


async def test_truncated_answers_are_no_json_and_pages_are_no_answers() -> None:
    async with serve(faults={"truncated": 1.0}) as url:
        status, data = await raw(url, body())
        assert status == 200
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(data)
    async with serve(faults={"html": 1.0}) as url:
        status, data = await raw(url, body())
        assert (status, data[:15]) == (200, b"<!DOCTYPE html>")


async def test_a_hanging_request_ends_with_its_client() -> None:
    async with serve(faults={"hang": 1.0}) as url:
        with pytest.raises(openai.APITimeoutError):
            await chat(url, timeout=0.2)
        for _ in range(100):
            if not (await stats(url))["in_flight"]["now"]:
                break
            await asyncio.sleep(0.02)
        assert (await stats(url))["in_flight"] == {"now": 0, "most": 1}


async def test_empty_answers_and_refusals_look_as_on_each_wire() -> None:
    async with serve(faults={"empty": 1.0}) as url:
        assert (await chat(url)).choices[0].message.content == ""
        assert (await message(url)).content == []
    async with serve(refusals=1.0) as url:
        one, two = await chat(url), await message(url)
    assert one.choices[0].finish_reason == "content_filter"
    assert (one.choices[0].message.content, bool(one.choices[0].message.refusal)) == (None, True)
    assert (two.content, two.stop_reason) == ([], "refusal")


@pytest.mark.parametrize(
    ("path", "data", "said"),
    [
        ("/v1/chat/completions", "{nope", "no JSON"),
        ("/v1/chat/completions", "", "no JSON"),
        ("/v1/chat/completions", b"\xff\xfe{}", "no JSON"),
        ("/v1/chat/completions", "[" * 100_000, "no JSON"),
        ("/v1/chat/completions", "[1]", "object"),
        ("/v1/chat/completions", '{"model": "m"}', "messages"),
        ("/v1/chat/completions", body(messages=[]), "messages"),
        ("/v1/chat/completions", body(messages=[{"role": "king", "content": ""}]), "role"),
        ("/v1/chat/completions", body(max_tokens=0), "max_tokens"),
        ("/v1/messages", body(), "max_tokens"),
        ("/v1/messages", body(max_tokens=9, messages=[{"role": "system", "content": ""}]), "role"),
    ],
)
async def test_a_bad_body_is_a_400_that_names_the_field(
    path: str, data: str | bytes, said: str
) -> None:
    async with serve() as url:
        status, answer = await raw(url, data, path)
        assert status == 400
        assert said in json.loads(answer)["error"]["message"]
        assert json.loads(answer)["error"]["type"] == "invalid_request_error"
        assert (await raw(url, body(max_tokens=9), path))[0] == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_huge_body_is_refused_and_the_server_goes_on(path: str) -> None:
    async with serve() as url:
        try:
            status, answer = await raw(url, io.BytesIO(b" " * (LARGEST_BODY + 1024)), path)
            assert (status, "32 MB" in answer.decode()) == (413, True)
        except aiohttp.ClientOSError:  # it may hang up before all has been sent
            pass
        assert (await raw(url, body(max_tokens=9), path))[0] == 200
        assert (await stats(url))["by_status"] == {"413": 1, "200": 1}


async def test_other_paths_and_methods_are_refused_in_json() -> None:
    async with serve() as url, aiohttp.ClientSession() as session:
        async with session.post(f"{url}/v1/embeddings", json={}) as response:
            assert (response.status, "error" in await response.json()) == (404, True)
        async with session.get(f"{url}/v1/chat/completions") as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
        async with session.get(f"{url}/healthz") as response:
            assert response.status == 200


async def test_stats_count_all_that_was_asked() -> None:
    async with serve(models=("m", "n"), api_key="k", faults={"malformed": 1.0}) as url:
        for prompt in (PROMPT, PROMPT, JUDGED):
            await chat(url, prompt)
        last = await message(url, model="n")
        with pytest.raises(openai.NotFoundError):
            await chat(url, model="x")
        with pytest.raises(openai.AuthenticationError):
            await chat(url, key="wrong")
        counted = await stats(url)
        empty = await stats(url, "POST", "/stats/reset")
    assert counted["total"] == 6
    assert counted["distinct"] == 3
    assert counted["by_model"] == {"m": 3, "n": 1, "x": 1}
    assert counted["by_status"] == {"200": 4, "404": 1, "401": 1}
    assert counted["by_kind"] == {"answer": 3, "judge": 1}
    assert counted["by_wire"] == {"openai": 5, "anthropic": 1}
    assert [name[:10] for name in counted["by_fault"]] in ([], ["malformed:"])
    assert counted["tokens"]["output"] > last.usage.output_tokens
    assert (empty["total"], empty["by_model"], empty["distinct"]) == (0, {}, 0)


async def test_latency_is_spent_side_by_side() -> None:
    async with serve(latency_ms=50) as url:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.gather(*[raw(url, body(seed=n)) for n in range(20)])
        took = loop.time() - start
        assert 0.05 <= took < 20 * 0.05
        assert (await stats(url))["in_flight"]["most"] > 1


@contextmanager
def command(*arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_prints_its_url_serves_and_ends_cleanly(number: signal.Signals) -> None:
    with command("--port", "0", "--models", "a, b", "--latency", "5ms") as (url, process):
        assert url.startswith("http://127.0.0.1:")
        assert (await chat(url, model="b")).model == "b"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")


async def test_a_port_in_use_is_one_clear_line() -> None:
    async with serve() as url:
        port = url.rsplit(":", 1)[1]
        with command("--port", port) as (line, process):
            _, errors = process.communicate(timeout=20)
    assert (line, process.returncode) == ("", 1)
    assert "cannot listen on 127.0.0.1:" in errors
    assert "--port 0" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--latency", "soon"], "write 150ms, 1.5s or 10m"),
        (["--faults", "429"], "write 429=0.05"),
        (["--faults", "malfromed=0.1"], "did you mean 'malformed'"),
        (["--faults", "429=2"], "from 0 to 1"),
        (["--jitter", "3"], "less than or equal to 1"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(simulate, [*arguments, "--port", "0"])
    assert result.exit_code == 2
    assert said in result.output

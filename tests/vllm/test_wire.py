"""The engines over HTTP against vLLM's own server: OpenAI's wire and Anthropic's."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from prefmill.contracts.chat import Message, Params
from prefmill.engines.anthropic import AnthropicEngine
from prefmill.engines.openai import OpenAIEngine
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import Rejected, Unusable
from tests.vllm.test_engine import SCHEMA
from tests.vllm.tiny import TEMPLATE, make_model

ASK = (Message(role="system", content="Be brief."), Message(role="user", content="the quick fox"))


def ask(seed: int = 1, schema: Any = None, **params: Any) -> ChatRequest:
    return ChatRequest(ASK, Params.model_validate({"max_tokens": 12, **params}), seed, schema)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The root URL of a server with a tiny model named `tiny`."""
    folder = tmp_path_factory.mktemp("wire")
    model = make_model(folder / "tiny", template=TEMPLATE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--enforce-eager", "--max-model-len", "512", "--max-num-seqs", "16"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        await _up(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def test_the_openai_engine_speaks_with_vllms_server(server: str) -> None:
    engine = OpenAIEngine(
        OpenAIEngine.Options.model_validate(
            {"model": "tiny", "base_url": f"{server}/v1", "structured": True}
        )
    )
    await engine.start()
    try:
        await engine.probe(Params())
        exact = ask(min_p=0.01, top_k=200, extra_body={"ignore_eos": True})
        done = await engine.complete(exact)
        assert (done.model, done.finish_reason) == ("tiny", "length")
        assert done.usage.output_tokens == 12
        assert (await engine.complete(exact)).text == done.text
        held = await engine.complete(ask(schema=SCHEMA, max_tokens=100))
        assert json.loads(held.text)["rating"] in range(1, 6)
        with pytest.raises(Rejected):
            await engine.complete(ask(max_tokens=5000))
    finally:
        await engine.stop()


async def test_the_anthropic_engine_speaks_with_vllms_server(server: str) -> None:
    engine = AnthropicEngine(
        AnthropicEngine.Options.model_validate({"model": "tiny", "base_url": server})
    )
    await engine.start()
    try:
        await engine.probe(Params())
        done = await engine.complete(ask())
        assert done.model == "tiny"
        assert 0 < done.usage.output_tokens <= 12
        assert done.usage.input_tokens > 3
        assert done.text
    finally:
        await engine.stop()


async def test_a_model_that_the_server_does_not_have_is_unusable(server: str) -> None:
    engine = OpenAIEngine(
        OpenAIEngine.Options.model_validate({"model": "other", "base_url": f"{server}/v1"})
    )
    await engine.start()
    try:
        with pytest.raises(Unusable, match="other"):
            await engine.probe(Params())
    finally:
        await engine.stop()


async def _up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    async with aiohttp.ClientSession() as session:
        while process.poll() is None:
            try:
                async with session.get(f"{url}/health") as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    pytest.fail(log.read_text()[-3000:])

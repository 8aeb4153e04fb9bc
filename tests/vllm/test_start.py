"""Starting, and what is said where that is not possible; a model without a chat template; the end
of an engine."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from prefmill.contracts.chat import Message, Params
from prefmill.engines.vllm.engine import VllmEngine
from prefmill.engines.vllm.options import VllmOptions
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import EngineDied, Unusable
from tests.vllm.conftest import SMALL
from tests.vllm.tiny import make_adapter, make_model


def engine_of(model: Path, **options: Any) -> VllmEngine:
    return VllmEngine(VllmOptions.model_validate({"model": str(model), **SMALL, **options}))


async def refusal(engine: VllmEngine) -> str:
    with pytest.raises(Unusable) as refused:
        await engine.start()
    assert "\n" not in refused.value.detail
    return refused.value.detail


def test_a_folder_that_is_missing_or_half_written_is_told_before_vllm_is_asked(
    tiny: Path, tmp_path: Path
) -> None:
    assert engine_of(tiny).missing() is None
    assert "there is no model folder" in str(engine_of(tmp_path / "none").missing())
    half = tmp_path / "half"
    shutil.copytree(tiny, half)
    weights = half / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "half-written" in str(engine_of(half).missing())
    assert "adapter_config.json" in str(engine_of(tiny, lora=str(tmp_path)).missing())


async def test_an_unknown_architecture_is_named(tiny: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    shutil.copytree(tiny, odd)
    config = json.loads((odd / "config.json").read_text())
    (odd / "config.json").write_text(json.dumps(config | {"architectures": ["AbacusForCausalLM"]}))
    assert "AbacusForCausalLM" in await refusal(engine_of(odd))
    (odd / "config.json").write_text(json.dumps(config | {"model_type": "abacus"}))
    assert "abacus" in await refusal(engine_of(odd))


async def test_a_context_longer_than_the_models_is_told(tiny: Path) -> None:
    said = await refusal(engine_of(tiny, max_model_len=999_999))
    assert "max_model_len" in said
    assert "999999" in said


async def test_too_little_memory_says_what_to_lower(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "100000")
    said = await refusal(engine_of(tiny, kv_cache_memory_bytes=10**14))
    assert "lower max_model_len" in said


async def test_a_core_killed_while_it_loads_is_told_as_want_of_memory(tiny: Path) -> None:
    engine = engine_of(tiny)
    before = _processes()
    starting = asyncio.create_task(refusal(engine))
    while not (cores := [p for p in _processes() - before if "spawn_main" in _command(p)]):
        await asyncio.sleep(0.05)
    os.kill(cores[0], signal.SIGKILL)
    said = await starting
    assert "ended without a word" in said
    assert "lower max_model_len" in said


async def test_an_adapter_that_does_not_fit_is_told(tiny: Path, tmp_path: Path) -> None:
    wrong = make_adapter(tmp_path / "wide", width=96)
    said = await refusal(engine_of(tiny, lora=str(wrong)))
    assert "LoRA adapter" in said
    assert "does not fit" in said


async def test_a_model_without_a_template_answers_with_its_adapter_until_it_dies(
    tmp_path: Path,
) -> None:
    plain = make_model(tmp_path / "plain", template=None)
    adapter = make_adapter(tmp_path / "adapter")
    engine = engine_of(plain, lora=str(adapter))
    before = _processes()
    beats: list[float] = []
    heart = asyncio.create_task(_beat(beats))
    await engine.start()
    heart.cancel()
    assert len(beats) > 20
    params = Params.model_validate({"max_tokens": 40, "extra_body": {"ignore_eos": True}})
    request = ChatRequest((Message(role="user", content="quick fox"),), params, 3)
    done = await engine.complete(request)
    assert done.usage.output_tokens > 4
    assert "### Prompt" not in done.text
    long = params.model_copy(update={"max_tokens": 8000})
    running = asyncio.create_task(engine.complete(ChatRequest(request.messages, long, 3)))
    await engine.complete(request)
    ours = _processes() - before
    os.kill(_core(ours), signal.SIGKILL)
    with pytest.raises(EngineDied, match="has died"):
        await running
    with pytest.raises(EngineDied):
        await engine.complete(request)
    with pytest.raises(EngineDied):
        engine.wanted(1)
    await engine.stop()
    assert _ended(ours)


def _processes() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def _command(pid: int) -> str:
    return " ".join(psutil.Process(pid).cmdline())


def _core(among: set[int]) -> int:
    """The process that has the workers below it."""
    return next(p for p in among if psutil.Process(p).children())


def _ended(pids: set[int]) -> bool:
    """Gone within ten seconds, or at least dead; the resource tracker stays for the next start."""
    left = [psutil.Process(p) for p in pids if psutil.pid_exists(p)]
    working = [p for p in left if "tracker" not in _command(p.pid)]
    _, alive = psutil.wait_procs(working, timeout=10)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


async def _beat(beats: list[float]) -> None:
    """A loop that is blocked has no pulse."""
    while True:
        beats.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.05)

"""Models are made once, engines started once: each start takes a good ten seconds."""

import importlib.util
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prefmill.engines.vllm.cores import use_all_cores
from prefmill.engines.vllm.engine import VllmEngine
from prefmill.engines.vllm.options import VllmOptions
from tests.vllm.tiny import NO_SYSTEM, make_model

HERE = Path(__file__).parent

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

SMALL = {"enforce_eager": True, "max_model_len": 8192, "max_num_seqs": 32}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder needs vLLM, whose libraries warn at import."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.timeout(300))
            item.add_marker(pytest.mark.filterwarnings("default"))
            if importlib.util.find_spec("vllm") is None:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed: make vllm"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model whose template refuses system prompts."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny", template=NO_SYSTEM)


@pytest.fixture(scope="session")
async def engine(tiny: Path) -> AsyncIterator[VllmEngine]:
    """The chat model, running. What tests start beside it may use all cores."""
    running = VllmEngine(VllmOptions.model_validate({"model": str(tiny), **SMALL}))
    await running.start()
    use_all_cores()
    yield running
    await running.stop()

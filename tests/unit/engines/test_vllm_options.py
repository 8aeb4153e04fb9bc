"""What the engine `vllm` takes from a recipe; nothing here needs vLLM."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.chat import Message, Params
from prefmill.engines.vllm.arguments import engine_arguments, fields_in
from prefmill.engines.vllm.causes import DEVICE_ADVICE, MEMORY_ADVICE, cause_of, first_raised
from prefmill.engines.vllm.folder import adapter_problem, folder_of, model_problem, rank_of
from prefmill.engines.vllm.options import VllmOptions
from prefmill.engines.vllm.pace import Pace
from prefmill.engines.vllm.prompts import folded
from prefmill.engines.vllm.sampling import held_to, sampling_fields
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import load, options_of

ASK = (Message(role="user", content="Hi"),)


def options(**values: object) -> VllmOptions:
    return VllmOptions.model_validate({"model": "m", **values})


def test_a_model_wants_as_many_devices_as_its_parallel_sizes_multiply_to() -> None:
    assert options().gpus == 1
    assert options(tensor_parallel_size=4, pipeline_parallel_size=2).gpus == 8
    assert options(tensor_parallel_size=4, gpus=2).gpus == 2


def test_what_was_not_said_is_left_to_vllm() -> None:
    said = options(max_model_len=512, enable_prefix_caching=False).engine_arguments()
    assert said["max_model_len"] == 512
    assert said["enable_prefix_caching"] is False
    assert said["trust_remote_code"] is False
    assert not said.keys() & {"gpus", "timeout_s", "quantization", "lora", "structured"}
    assert options(lora="x").engine_arguments()["enable_lora"] is True


def test_a_key_of_the_hub_never_stands_in_a_recipe() -> None:
    with pytest.raises(RecipeError, match="set HF_TOKEN"):
        options_of(load("engines", "vllm"), {"model": "m", "hf_token": "secret"}, "models.x")


@pytest.mark.skipif(not engine_arguments(), reason="vLLM is not installed: make vllm")
def test_an_unknown_key_names_the_nearest_field_of_vllm() -> None:
    with pytest.raises(RecipeError, match=r"models\.x.*max_modl_len.*did you mean 'max_model_len'"):
        options_of(load("engines", "vllm"), {"model": "m", "max_modl_len": 4}, "models.x")
    assert options(kv_cache_dtype="fp8").further == {"kv_cache_dtype": "fp8"}


def test_fields_are_read_from_the_two_classes_only() -> None:
    source = "class EngineArgs:\n    a: int = 1\n    _b: int\n    c = 2\nclass Other:\n    d: int\n"
    assert fields_in(source + "class AsyncEngineArgs(EngineArgs):\n    e: bool\n") == {"a", "e"}


def test_how_a_model_runs_does_not_change_what_its_answers_are() -> None:
    plain = options()
    assert options(tensor_parallel_size=2, max_num_seqs=8, timeout_s=5).identity() == (
        plain.identity()
    )
    for other in ({"dtype": "float16"}, {"lora": "a"}, {"regex": "a"}, {"kv_cache_dtype": "fp8"}):
        assert options(**other).identity() != plain.identity()


def test_the_request_wins_over_the_models_defaults_and_extra_fields_go_by_their_names() -> None:
    params = Params(temperature=0.2, stop=("END",), extra_body={"stop_token_ids": [7]})
    fields = sampling_fields(ChatRequest(ASK, params, 2**40 + 5), {"temperature": 1, "top_k": 9})
    assert fields == {
        "temperature": 0.2,
        "top_k": 9,
        "seed": 5,
        "stop": ["END"],
        "stop_token_ids": [7],
    }


def test_an_answer_is_held_to_the_request_then_the_schema_then_the_options() -> None:
    both = options(choice=["a", "b"])
    schema = {"type": "object"}
    said = Params(extra_body={"guided_regex": "x+"})
    assert held_to(ChatRequest(ASK, said, 1, schema), both) == {"regex": "x+"}
    assert held_to(ChatRequest(ASK, Params(), 1, schema), both) == {"json": schema}
    assert held_to(ChatRequest(ASK, Params(), 1), both) == {"choice": ["a", "b"]}
    assert held_to(ChatRequest(ASK, Params(), 1, schema), options(structured=False)) == {}


def test_a_system_prompt_is_folded_into_the_first_user_turn() -> None:
    system = Message(role="system", content="Be brief.")
    assert folded((system, *ASK)) == (Message(role="user", content="Be brief.\n\nHi"),)
    assert folded(ASK) == ASK


def test_a_folder_tells_what_it_lacks(tmp_path: Path) -> None:
    assert folder_of("org/model") is None
    assert folder_of("/no/such") == Path("/no/such")
    assert "there is no model folder" in model_problem(tmp_path / "none")
    assert "holds no config.json" in model_problem(tmp_path)
    (tmp_path / "config.json").write_text('{"archi')
    assert "cannot be read" in model_problem(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert "holds no weights" in model_problem(tmp_path)
    assert not model_problem(tmp_path, weights=False)


def test_weights_cut_short_or_lacking_a_shard_are_seen(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    whole = len(header).to_bytes(8, "little") + header + bytes(16)
    weights = tmp_path / "model-1.safetensors"
    for cut in (0, 5, 20, len(whole) - 1):
        weights.write_bytes(whole[:cut])
        assert "cut short" in model_problem(tmp_path)
    weights.write_bytes(whole)
    assert not model_problem(tmp_path)
    index = {"weight_map": {"w": "model-1.safetensors", "v": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "lacks model-2.safetensors" in model_problem(tmp_path)


def test_an_adapter_tells_its_rank_and_what_it_lacks(tmp_path: Path) -> None:
    assert "adapter_config.json" in adapter_problem(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"r": 16}')
    assert rank_of(tmp_path) == 16
    assert "holds no weights" in adapter_problem(tmp_path)


def test_the_first_error_that_says_something_is_the_cause() -> None:
    said = """EngineCore failed to start.
Traceback (most recent call last):
  File "x.py", line 1, in f
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB
Traceback (most recent call last):
RuntimeError: Engine core initialization failed. See root cause above.
"""
    assert first_raised(said).startswith("OutOfMemoryError: CUDA out of memory")
    hollow = RuntimeError("Engine core initialization failed.")
    assert cause_of(hollow, said).endswith(MEMORY_ADVICE)
    assert cause_of(ValueError("no such quantization")) == "no such quantization"


def test_a_process_that_was_killed_is_told_as_want_of_memory() -> None:
    error = RuntimeError(
        "Engine core initialization failed. See root cause above. Failed core proc(s): {'E': -9}"
    )
    said = cause_of(error, "")
    assert "ended without a word" in said
    assert "{'E': -9}" in said
    assert MEMORY_ADVICE in said


def test_the_sentence_of_a_validation_is_the_cause() -> None:
    error = ValueError(
        "1 validation error for ModelConfig\n  Value error, Model architectures ['Foo'] are not "
        "supported for now. [type=value_error, input_value=ArgsKwargs(()), input_type=ArgsKwargs]"
    )
    assert cause_of(error) == "Model architectures ['Foo'] are not supported for now."


steps = st.lists(st.tuples(st.integers(0, 64), st.integers(0, 64), st.integers(0, 64)), max_size=9)


@given(steps)
def test_the_queue_is_never_empty_by_design_and_never_long(
    told: list[tuple[int, int, int]],
) -> None:
    pace = Pace(most=64)
    assert pace.wanted() > 0
    for running, waiting, finished in told:
        pace.step(running, waiting, finished)
        assert running < pace.wanted() <= 128
        assert pace.queue >= min(64, finished)


def test_what_finishes_within_a_few_steps_is_replaced_from_the_queue() -> None:
    pace = Pace(most=64)
    for finished in (20, 0, 20, 10, 0, 0, 0, 0, 5):
        pace.step(running=64, waiting=0, finished=finished)
    assert pace.queue == 50
    for _ in range(256):
        pace.step(running=64, waiting=0, finished=1)
    assert pace.queue == 8


@pytest.mark.parametrize(
    "said",
    [
        "No CUDA GPUs are available",
        "Failed to infer device type",
        "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU",
        "CUDA error: invalid device ordinal",
    ],
)
def test_a_device_that_is_not_there_is_told_with_what_to_do(said: str) -> None:
    assert cause_of(RuntimeError(said)) == f"{said}; {DEVICE_ADVICE}"

"""TRL itself takes the datasets as they are: one step of each trainer on a tiny random model."""

import math
from pathlib import Path
from typing import Any

import datasets
import pytest

TINY_STEP: dict[str, Any] = {
    "max_steps": 1,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "warmup_steps": 0,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
    "seed": 1,
}


@pytest.fixture
def one_step(tiny: Path, tmp_path: Path):
    """Trains one step; the trainer, and how far the step moved a weight."""

    def train(trainer: type, config: type, data: Any) -> tuple[Any, float]:
        from transformers import AutoTokenizer

        made = trainer(
            model=_model(tiny, trainer.__name__),
            args=config(output_dir=str(tmp_path), **TINY_STEP),
            train_dataset=data,
            processing_class=AutoTokenizer.from_pretrained(tiny),
        )
        watched = made.model.model.layers[0].self_attn.q_proj.weight
        before = watched.detach().clone()
        made.train()
        return made, float((watched.detach() - before).abs().max())

    return train


@pytest.fixture
def load(datasets_of_a_run: dict[str, Path], tmp_path: Path):
    """A dataset of the run as its users load it; the cache goes with the test."""

    def loaded(config: str, prompt: str = "explicit") -> Any:
        folder, cache = str(datasets_of_a_run[prompt]), str(tmp_path / "cache")
        return datasets.load_dataset(folder, config, split="train", cache_dir=cache)

    return loaded


def _model(tiny: Path, trainer: str) -> Any:
    import torch
    import transformers

    kinds = transformers.AutoModelForSequenceClassification, transformers.AutoModelForCausalLM
    one_label = {"num_labels": 1} if trainer == "RewardTrainer" else {}
    kind = kinds[0] if one_label else kinds[1]
    return kind.from_pretrained(tiny, dtype=torch.float32, **one_label)


def check_trained(trainer: Any, moved: float) -> None:
    logged = trainer.state.log_history[0]
    assert trainer.state.global_step == 1
    assert math.isfinite(logged["loss"])
    assert logged["loss"] > 0
    assert moved > 0


@pytest.mark.parametrize("prompt", ["explicit", "implicit"])
def test_a_step_of_dpo_takes_pairs_with_the_prompt_beside_or_within_them(
    prompt: str, load: Any, one_step: Any
) -> None:
    from trl import DPOConfig, DPOTrainer

    data = load("trl", prompt)
    assert ("prompt" in data.column_names) == (prompt == "explicit")
    assert len(data) > 2
    trainer, moved = one_step(DPOTrainer, DPOConfig, data)
    check_trained(trainer, moved)


def test_both_kinds_of_pairs_become_the_same_tokens(load: Any, one_step: Any) -> None:
    from trl import DPOConfig, DPOTrainer

    seen = []
    for prompt in ("explicit", "implicit"):
        data = load("trl", prompt)
        trainer, _ = one_step(DPOTrainer, DPOConfig, data)
        columns = [name for name in trainer.train_dataset.column_names if name.endswith("_ids")]
        seen.append({name: trainer.train_dataset[name][:] for name in sorted(columns)})
    assert seen[0]
    assert seen[0] == seen[1]


def test_a_step_of_kto_takes_labelled_answers(load: Any, one_step: Any) -> None:
    from trl import KTOConfig, KTOTrainer

    data = load("kto")
    assert set(data["label"]) == {True, False}
    trainer, moved = one_step(KTOTrainer, KTOConfig, data)
    check_trained(trainer, moved)


def test_a_step_of_reward_modelling_takes_conversations(load: Any, one_step: Any) -> None:
    from trl import RewardConfig, RewardTrainer

    data = load("reward")
    trainer, moved = one_step(RewardTrainer, RewardConfig, data)
    check_trained(trainer, moved)


def test_a_step_of_sft_takes_the_best_answers(load: Any, one_step: Any) -> None:
    from trl import SFTConfig, SFTTrainer

    data = load("sft")
    trainer, moved = one_step(SFTTrainer, SFTConfig, data)
    check_trained(trainer, moved)

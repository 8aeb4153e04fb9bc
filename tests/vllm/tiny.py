"""Tiny Llamas with random weights, and what may be wrong with a model's folder."""

import json
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('system role not supported') }}"
    "{% endif %}" + TEMPLATE
)
_WORDS = 'the quick brown fox jumps over the lazy dog {"rating": 3, "rationale": "because"} '
_SPECIAL = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]


def make_model(folder: Path, *, template: str | None = TEMPLATE, seed: int = 0) -> Path:
    """Two layers, 512 tokens that spell every byte, weights from the seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    _tokenizer(template).save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=16384,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def make_adapter(folder: Path, *, width: int = 64, rank: int = 4) -> Path:
    """A LoRA adapter for `make_model`, if it has its width."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 8, "bias": "none"}
    config |= {"target_modules": ["q_proj"], "task_type": "CAUSAL_LM", "use_rslora": False}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    layer = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"
    torch.manual_seed(1)
    shapes = {"A": (rank, width), "B": (width, rank)}
    tensors = {
        layer.format(n, side): torch.randn(shape) for n in (0, 1) for side, shape in shapes.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def _tokenizer(template: str | None) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bytes_of = pre_tokenizers.ByteLevel
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = bytes_of(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=_SPECIAL,
        initial_alphabet=bytes_of.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_WORDS * 4], trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    made.chat_template = template
    return made

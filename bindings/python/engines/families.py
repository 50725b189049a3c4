"""Small models with random weights, one for each way that a family of decoders attends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers

WORDS = 300
SIZES = {
    "vocab_size": WORDS,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 4096,
    "initializer_range": 0.05,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
}
SLIDING_WINDOW = 32


def _mixed(layers: int = 4) -> list[str]:
    return ["full_attention" if layer % 2 else "sliding_attention" for layer in range(layers)]


def _config(kind: str) -> Any:
    """The configuration of a family."""
    t = transformers
    sliding = {"sliding_window": SLIDING_WINDOW, "layer_types": _mixed()}
    makers: dict[str, Callable[[], Any]] = {
        "llama": lambda: t.LlamaConfig(**SIZES),
        "mistral": lambda: t.MistralConfig(**SIZES, sliding_window=None),
        "qwen2": lambda: t.Qwen2Config(**SIZES),
        "qwen3": lambda: t.Qwen3Config(**SIZES),
        "phi": lambda: t.PhiConfig(**SIZES),
        "phi3": lambda: t.Phi3Config(**SIZES, sliding_window=None),
        # Layers of a window and of full attention in turn; Gemma 2 with a softcap low enough to matter, and a scale of its own.
        "gemma2": lambda: t.Gemma2Config(**SIZES, **sliding, attn_logit_softcapping=3.0, query_pre_attn_scalar=24),
        "gemma3": lambda: t.Gemma3TextConfig(**SIZES, **sliding, query_pre_attn_scalar=16),
        "gpt_oss": lambda: t.GptOssConfig(
            **SIZES,
            **sliding,
            num_local_experts=4,
            num_experts_per_tok=2,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
        "qwen3_next": lambda: t.Qwen3NextConfig(
            **SIZES,
            layer_types=["linear_attention", "full_attention"] * 2,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=32,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            linear_key_head_dim=16,
            linear_value_head_dim=16,
        ),
    }
    return makers[kind]()


FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "phi", "phi3", "gemma2", "gemma3", "gpt_oss")
EAGER = ("gemma2", "gpt_oss")
"""Families whose attention transformers computes right in "eager" alone."""


def make(kind: str, attention: str | None = None, seed: int = 0, dtype: Any = torch.float32) -> Any:
    """A model of the family, in evaluation mode."""
    torch.manual_seed(seed)
    config = _config(kind)
    config._attn_implementation = attention or ("eager" if kind in EAGER else "sdpa")
    model = transformers.AutoModelForCausalLM.from_config(config).eval().to(dtype)
    for name, parameter in model.named_parameters():
        if name.endswith("sinks"):
            torch.nn.init.normal_(parameter, mean=4.0, std=2.0)
        elif any(part in name for part in ("q_proj.weight", "k_proj.weight", "qkv_proj.weight")):
            parameter.data *= 4  # else attention is flat, and every token as good as any other
    return model


def words(count: int, seed: int, batch: int = 1) -> Any:
    """(batch, count) ids, none of which is special."""
    return torch.randint(3, WORDS, (batch, count), generator=torch.Generator().manual_seed(seed))

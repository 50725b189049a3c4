"""What a GGUF file of llama's architecture holds, in the form of transformers' Llama.

Here: tensors dequantised to float32 under transformers' names, the configuration, the tokenizer. Not here: where the file
comes from (fetch.py). Only a first start needs this file, and with it the packages `gguf` and `tokenizers`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from weights import half_split

TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
WHOLE_MODEL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
CONTROL = 3  # the token type of <|im_start|> and its like


def convert(source: Path, folder: Path) -> dict[str, Any]:
    """Writes every tensor of `source` to `folder` as NAME.npy, float32; returns the configuration."""
    reader = gguf.GGUFReader(source)
    config = configuration(reader)
    for tensor in reader.tensors:
        name = transformers_name(tensor.name)
        rows = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if name.endswith("q_proj"):
            rows = half_split(rows, config["num_attention_heads"])
        elif name.endswith("k_proj"):
            rows = half_split(rows, config["num_key_value_heads"])
        np.save(folder / f"{name}.weight.npy", rows)
    config["tie_word_embeddings"] = all(tensor.name != "output.weight" for tensor in reader.tensors)
    return config


def configuration(reader: Any) -> dict[str, Any]:
    """The numbers of transformers' LlamaConfig."""

    def of(key: str) -> Any:
        return reader.fields[f"llama.{key}"].contents()

    heads, hidden = of("attention.head_count"), of("embedding_length")
    return {
        "hidden_size": hidden,
        "intermediate_size": of("feed_forward_length"),
        "num_hidden_layers": of("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": of("attention.head_count_kv"),
        "head_dim": hidden // heads,
        "rms_norm_eps": of("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_theta": of("rope.freq_base")},
        "max_position_embeddings": of("context_length"),
    }


def transformers_name(name: str) -> str:
    """blk.3.attn_q.weight -> model.layers.3.self_attn.q_proj"""
    parts = name.removesuffix(".weight").split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{TENSORS[parts[2]]}"
    return WHOLE_MODEL[parts[0]]


def tokenizer(source: Path) -> Tokenizer:
    """Byte-level BPE, digits one by one, as the file's own tables say."""
    fields = gguf.GGUFReader(source).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    merges: list[str] = fields["tokenizer.ggml.merges"].contents()
    kinds: list[int] = fields["tokenizer.ggml.token_type"].contents()
    pairs = [(first, second) for first, second in (merge.split(" ") for merge in merges)]
    made = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, pairs))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    made.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds) if kind == CONTROL]
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return made

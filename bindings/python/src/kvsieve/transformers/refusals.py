"""What cannot be compressed, or not with these arguments: a ValueError whose sentence says what would do."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from . import releases
from .attention import PREFIX, WRAPPED

MODES = ("greedy_search", "sample", "beam_search", "beam_sample")


def decoder_of(model: Any) -> Any:
    """The module that owns the layers and makes the masks. ValueError if it cannot be compressed."""
    config = getattr(model, "config", None)
    if config is None or not hasattr(model, "set_attn_implementation"):
        raise ValueError(f"model is a {type(model).__name__}: expected a model of transformers")
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"{type(model).__name__} has an encoder: expected a decoder-only model")
    if hasattr(model, "_orig_mod"):
        raise ValueError("model is what torch.compile returned: expected the model that it was given")
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    text = decoder.config.get_text_config(decoder=True)
    if any(getattr(text, name, None) for name in ("num_kv_shared_layers", "kv_sharing_modes")):
        raise ValueError(f"{type(model).__name__} has layers that share a cache: expected one that does not")
    if not getattr(text, "is_causal", True):
        raise ValueError(f"{type(model).__name__} attends in both directions: expected a causal model")
    return decoder


def inner_of(decoder: Any) -> str:
    """The attention implementation that will be wrapped."""
    inner = decoder.config._attn_implementation
    if isinstance(inner, str) and inner.startswith(PREFIX):
        raise ValueError("the model is inside another `with` of kvsieve.transformers already: leave that first")
    if inner not in WRAPPED:
        raise ValueError(
            f"attn_implementation is {inner!r}: expected {' or '.join(map(repr, WRAPPED))}; "
            f"model.set_attn_implementation({WRAPPED[0]!r}) sets it"
        )
    return str(inner)


def attention_of(decoder: Any) -> None:
    """Whether set_attn_implementation() has set ours."""
    if not str(decoder.config._attn_implementation).startswith(PREFIX):
        raise ValueError(f"{type(decoder).__name__} takes no attention function of transformers: that is not supported")


def compressed_layers(decoder: Any) -> list[int]:
    """The layers whose cache grows with every token: full attention. Others are left alone."""
    text = decoder.config.get_text_config(decoder=True)
    kinds = getattr(text, "layer_types", None)
    if kinds and not releases.knows_layer_types():
        for index, kind in enumerate(kinds):
            if kind not in releases.ATTENTION_LAYERS:
                raise ValueError(f"layer {index} is {kind}: this release of transformers has no cache for that")
    found = [i for i, layer in enumerate(DynamicCache(config=decoder.config).layers) if type(layer) is DynamicLayer]
    if not found:
        raise ValueError(
            f"{type(decoder).__name__} has no layer of full attention: a sliding window bounds its cache already; "
            f"nothing is left to compress"
        )
    return found


def pass_of(keys: Any, noted: bool) -> None:
    """A forward pass that is about to use a SieveCache."""
    if torch.is_grad_enabled() and keys.requires_grad:
        raise ValueError("gradients are being recorded: expected torch.no_grad() or torch.inference_mode()")
    if not noted:
        raise ValueError("attention_mask was prepared by the caller: expected (batch, tokens), ones and zeros, or None")


def generation(model: Any, cache: Any, given: dict[str, Any]) -> int:
    """Arguments of model.generate(): `given` has them by name. cache: a SieveCache. How many beams there will be."""
    if given.get("custom_generate") is not None:
        raise ValueError("custom_generate may use the cache in any way: expected generate's own loops")
    known = {name: value for name, value in given.items() if name in vars(model.generation_config)}
    config, _ = model._prepare_generation_config(given.get("generation_config"), **known)
    mode = str(getattr(config.get_generation_mode(given.get("assistant_model")), "value", ""))
    if mode not in MODES:
        raise ValueError(f"generate would run {mode}: expected {', '.join(MODES)}; what is compressed stays so")
    if config.use_cache is False:
        raise ValueError("use_cache is False: there is no cache to compress")
    if config.cache_implementation is not None:
        raise ValueError(
            f"cache_implementation is {config.cache_implementation!r}: expected None; a compressed cache takes its place"
        )
    if getattr(config, "token_healing", False):
        raise ValueError("token_healing changes the prompt's length: expected False")
    beams = config.num_beams or 1
    if beams > 1 and cache.decodes:
        raise ValueError(
            f"num_beams is {beams}: a plan that decodes follows one sequence; expected decoding=0, or 1 beam"
        )
    if cache.get_seq_length() and cache.beams > 1:
        raise ValueError(
            f"the last turn had {cache.beams} beams: the cache holds those that went on, not the text that was returned; "
            f"cache.reset() begins anew"
        )
    chunk = config.prefill_chunk_size
    if chunk is not None and not releases.chunks_have_positions(model):
        raise ValueError(
            f"prefill_chunk_size is {chunk}: this release of transformers gives chunks wrong positions, with any cache; "
            f"take a newer one, or pass the chunks to the model yourself"
        )
    if chunk is not None and cache.get_seq_length() and not releases.chunks_follow_cache(model):
        raise ValueError(
            f"prefill_chunk_size is {chunk} and the cache is not empty: this release of transformers reads all of the text "
            f"again, with any cache; take a newer one, or expected None"
        )
    return int(beams)


def prompt_end(model: Any, seen: int, given: dict[str, Any]) -> int:
    """The column at which the prompt of a generate() ends. seen: the columns that its cache has."""
    mask = given.get("attention_mask")
    mask = None if mask is None or mask.ndim != 2 else int(mask.shape[1])
    found = [name for name in ("inputs_embeds", "inputs", "input_ids") if given.get(name) is not None]
    text = int(given[found[0]].shape[1]) if found else 1  # generate begins with one token of its own
    name = found[0] if found else "input_ids"
    if mask is not None and mask == seen + text and releases.takes_new_tokens(model):
        return mask
    if mask is not None and mask != text:
        raise ValueError(
            f"attention_mask has {mask} columns, {name} {text} and the cache {seen}: expected a mask for all of the text"
        )
    if text <= seen:
        raise ValueError(
            f"{name} has {text} tokens and the cache {seen} already: expected what was read, and new ones behind it"
        )
    return text

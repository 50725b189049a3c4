"""Where the releases of transformers differ, as far as it matters here. Tested: 5.2.0, 5.24.0 and those that README.md names."""

from __future__ import annotations

import inspect
from typing import Any

KEYWORDS = ("cache", "past_key_values")
"""What a model's forward calls its cache: the newer name first."""
ATTENTION_LAYERS = ("full_attention", "sliding_attention", "chunked_attention")
"""Layer types whose cache transformers 5.2 makes right; newer ones know more."""


def cache_keyword(function: Any) -> str:
    """The keyword by which `function`, a forward, takes its cache."""
    names = inspect.signature(function).parameters
    for name in KEYWORDS:
        if name in names:
            return name
    raise ValueError(f"{getattr(function, '__qualname__', function)} takes no cache: expected a decoder that has one")


def chunks_have_positions(model: Any) -> bool:
    """Whether generate(prefill_chunk_size=...) gives each chunk its own positions. 5.2 gives all of them the last ones."""
    return "is_first_iteration" in inspect.signature(model._prefill).parameters


def chunks_follow_cache(model: Any) -> bool:
    """Whether they go on where a cache ends that is not empty. Of the tested releases 5.24 alone does;
    the others read all of the text again."""
    return "prefill_ids" in model._prefill.__code__.co_varnames


def takes_new_tokens(model: Any) -> bool:
    """Whether generate() takes the new tokens of a text alone, with the mask of all of it. From 5.4 on."""
    return "next_sequence_length" in model._prefill.__code__.co_varnames


def knows_layer_types() -> bool:
    """Whether DynamicCache makes a layer of the right kind for each layer type."""
    from transformers import cache_utils

    return hasattr(cache_utils, "get_layer_types_and_kwargs")

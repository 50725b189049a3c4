"""What takes the place of a model's attention function: the model's own, called with the mask that fits a layer's rows.

transformers calls, in each layer, the cache's update() and then the attention function that config._attn_implementation
names. Registered here is one such name for each implementation that can be wrapped, and under the same name a mask
function, which notes the padding and calls through. update() says which layer of which cache it was (passing.layer); the
attention function takes that up. If no layer of a SieveCache was updated, the model's own function is called unchanged.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .scores import Attention

if TYPE_CHECKING:
    from .layer import SieveLayer

PREFIX = "kvsieve_"
WRAPPED = ("sdpa", "eager")
"""Implementations that take a mask for each head. Flash attention and flex attention do not."""
BIASES = ("position_bias", "alibi")
"""Arguments of an attention function that change its logits in ways that are not looked at here."""


class Passing(threading.local):
    """What one forward pass of a decoder tells the next function it calls; a thread runs one pass at a time."""

    def begin(self) -> None:
        """Forgets what a pass that did not end has left."""
        self.layer, self.noted, self.padding = None, False, None

    layer: SieveLayer | None = None
    """Whose update() was called and whose attention was not computed yet."""
    noted: bool = False
    """Whether the mask function was called since the last first layer."""
    padding: Any = None
    """(B, columns) bool, False for padding; None if there is none."""


passing = Passing()


def own(module: Any, inner: str) -> Callable[..., Any]:
    """The function that `module` would have called."""
    if inner != "eager":
        return ALL_ATTENTION_FUNCTIONS[inner]  # type: ignore[no-any-return]
    # "eager" is no entry of the table: every model has its own, beside its attention class.
    for kind in type(module).__mro__:
        if function := getattr(sys.modules[kind.__module__], "eager_attention_forward", None):
            return function  # type: ignore[no-any-return]
    raise ValueError(
        f"{type(module).__name__} has no eager_attention_forward beside it: load the model with attn_implementation='sdpa'"
    )


def _attention(inner: str) -> Callable[..., Any]:
    # The library is called here: torch.compile breaks its graph around it.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def attend(
        module: Any, query: Any, key: Any, value: Any, attention_mask: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        layer, passing.layer = passing.layer, None
        function = own(module, inner)
        if layer is None or layer.index != getattr(module, "layer_idx", None):
            return function(module, query, key, value, attention_mask, *arguments, **keywords)
        for name in BIASES:
            if keywords.get(name) is not None:
                raise ValueError(f"{type(module).__name__} adds {name} to its attention: that is not supported")
        for name, given, held in (("keys", key, layer.keys), ("values", value, layer.values)):
            if given.data_ptr() != held.data_ptr() or given.shape != held.shape:
                raise ValueError(
                    f"{type(module).__name__} attends to other {name} than its cache has: that is not supported"
                )
        mask = layer.mask(attention_mask, query, additive=inner == "eager")
        result = function(module, query, key, value, mask, *arguments, **keywords)
        scale = keywords.get("scaling")
        how = Attention(
            scale=query.shape[-1] ** -0.5 if scale is None else float(scale),
            softcap=keywords.get("softcap"),
            sinks=keywords.get("s_aux"),
        )
        layer.attended(query, how)
        return result

    return attend  # type: ignore[no-any-return]


def _mask(inner: str) -> Callable[..., Any]:
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def make(*arguments: Any, **keywords: Any) -> Any:
        passing.noted, passing.padding = True, keywords.get("attention_mask")
        return ALL_MASK_ATTENTION_FUNCTIONS[inner](*arguments, **keywords)

    return make  # type: ignore[no-any-return]


for _inner in WRAPPED:
    AttentionInterface.register(PREFIX + _inner, _attention(_inner))
    AttentionMaskInterface.register(PREFIX + _inner, _mask(_inner))

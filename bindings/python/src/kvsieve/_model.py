"""Model: what a plan must know of the model whose caches it sees."""

from __future__ import annotations

from dataclasses import dataclass

from ._abi import kvsieve_model
from ._numbers import real, whole


@dataclass(frozen=True)
class Model:
    """What is fixed for a model. Checked when a Plan is made of it.

    layers       L
    query_heads  Hq, a multiple of kv_heads
    kv_heads     H
    head_dim     D, of queries and keys; values may differ
    scale        of the logits; 0 means 1/sqrt(head_dim)
    """

    layers: int
    query_heads: int
    kv_heads: int
    head_dim: int
    scale: float = 0.0

    def _struct(self) -> kvsieve_model:
        sizes = {name: whole(name, getattr(self, name)) for name in ("layers", "query_heads", "kv_heads", "head_dim")}
        return kvsieve_model(scale=real("scale", self.scale), **sizes)

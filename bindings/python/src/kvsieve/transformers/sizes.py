"""Bytes of a cache: what its keys and values take, and would take if nothing had been dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .layer import SieveLayer


def held(layers: Iterable[Any]) -> int:
    storages: dict[int, int] = {}
    for layer in layers:
        packed = getattr(layer, "packed", None) or ()
        for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None), *packed):
            if tensor is not None:
                storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    return sum(storages.values())


def full(layers: Iterable[Any], sieved: list[SieveLayer]) -> int:
    total = sum(layer.seen * _row(layer) for layer in sieved if layer.keys is not None)
    own = {layer.index for layer in sieved}
    others = [layer for index, layer in enumerate(layers) if index not in own]
    tensors = [getattr(layer, name, None) for layer in others for name in ("keys", "values")]
    return int(total + sum(tensor.nbytes for tensor in tensors if tensor is not None))


def _row(layer: SieveLayer) -> int:
    """What a column takes, of all sequences and heads."""
    batch, heads = layer.keys.shape[:2]
    return sum(int(batch * heads * rows.shape[-1] * rows.element_size()) for rows in (layer.keys, layer.values))

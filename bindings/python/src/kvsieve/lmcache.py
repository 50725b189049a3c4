"""LMCache: what its SDK's `modify_kv` asks for, a function that edits the stored cache of a sequence. lmcache is not imported.

    rope = kvsieve.Rope(model.model.rotary_emb.inv_freq)
    stream.modify_kv(kvsieve.lmcache.modify_kv("snapkv", head_dim=128, rope=rope, budget=2048))

LMCache stores one row for all heads of a layer under one token, the same tokens in all layers, in whole chunks, and the engine
that loads it counts positions from 0. So all heads and layers make one choice (share=2), its size is a multiple of the chunk,
and keys are rotated to positions 0, 1, 2, ...
Letters: L layers, T tokens, Hq query heads, H key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from ._methods import find_method
from ._model import Model
from ._numbers import whole
from ._protect import pairs
from ._rope import Rope
from .plan import Plan

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._types import Keywords

Modify = Callable[[Mapping[Any, Any], Sequence[int]], tuple[Any, Sequence[int]]]
"""LMCache's ModifyFnType: tensors by kind, and the tokens; the new cache and its tokens."""


def modify_kv(
    method: str | int,
    *,
    head_dim: int,
    rope: Rope | None,
    chunk: int = 256,
    scale: float = 0.0,
    protect: Sequence[tuple[int, int]] = (),
    **parameters: Unpack[Keywords],
) -> Modify:
    """A function for LMCacheRequestStream.modify_kv. It may run for several streams at the same time.

    head_dim  D, which a stored cache does not tell
    rope      how the model rotates keys; None if it does not. A model whose layers differ in that cannot be stored anew
    chunk     tokens of a chunk of the server's: its `chunk_size`. The budget is rounded down to whole chunks
    scale     of the logits; 0: 1/sqrt(D)
    protect   (first, count) of tokens that stay, as in Plan.protect
    The other keywords are the method's parameters. Of windowkv set charge=1: then the budget is exact.

    The function takes what the SDK hands over, tensors by kind and T token ids, of torch or numpy:
    "kv"     (2, L, T, H D)   keys and values
    "query"  (1, L, T, Hq D)  queries, as the engine's attention had them; a method that reads none needs no such context
    It returns a new (2, L, n, H D) and n token ids, n a multiple of `chunk`; if the budget holds all T, what was given.

    Raises ValueError if the method's heads cannot make one choice (taskkv, adakv), if the budget is below a chunk, or if
    a shape is not as above; and what Plan raises.
    """
    info = find_method(method)
    if "share" not in {parameter.name for parameter in info.parameters}:
        raise ValueError(f"method is {info.name!r}, whose heads keep different tokens: LMCache stores one set for all")
    for name in ("share", "even", "decoding"):
        if name in parameters:
            raise ValueError(f"{name} was given: all heads and layers make one choice, as LMCache stores them")
    if rope is not None and not isinstance(rope, Rope):
        raise TypeError(f"rope is a {type(rope).__name__}: expected a kvsieve.Rope, or None")
    if isinstance(head_dim, bool):
        raise TypeError(f"head_dim is {head_dim}: expected a whole number")
    dim, size = whole("head_dim", head_dim), whole("chunk", chunk)
    if dim < 1 or size < 1:
        raise ValueError(f"head_dim is {dim} and chunk {size}: expected at least 1")
    ranges = pairs(protect)

    def modify(tensors: Mapping[Any, Any], tokens: Sequence[int]) -> tuple[Any, Sequence[int]]:
        kinds = {getattr(kind, "value", kind): tensor for kind, tensor in tensors.items()}
        kv: Any = kinds.get("kv")
        queries = kinds.get("query")
        model = _model(kv, queries, len(tokens), dim, scale)
        with Plan(method, model, **parameters) as plan:
            plan["share"] = 2
            for first, count in ranges:
                plan.protect(first, count)
            positions = _chosen(plan, kv, queries, len(tokens), size)
            if len(positions) == len(tokens):
                return kv, list(tokens)
            new = _empty(kv, len(positions))
            for layer in range(model.layers):
                plan.gather(layer, _heads(kv[0][layer], dim), out=_heads(new[0][layer], dim), rope=rope)
                plan.gather(layer, _heads(kv[1][layer], dim), out=_heads(new[1][layer], dim))
        return new, [tokens[position] for position in positions]

    return modify


def _chosen(plan: Plan, kv: Any, queries: Any, tokens: int, chunk: int) -> list[int]:
    """The positions that stay."""
    dim = plan.model.head_dim
    rows = plan.bound(0, tokens)
    if rows < min(chunk, tokens):
        raise ValueError(f"the budget holds {rows} of {tokens} tokens: expected a chunk of {chunk} at least")
    if rows < tokens:
        plan["ratio"] = 0
        plan["budget"] = rows // chunk * chunk
    for layer in range(plan.model.layers):
        if "queries" in plan.needs(layer) and queries is None:
            raise ValueError(
                f"{plan.method.name} reads queries: expected a context of the kind QUERY beside the KV one"
            )
        asking = None if queries is None else _heads(queries[0][layer], dim)
        plan.observe(layer, asking, _heads(kv[0][layer], dim), _heads(kv[1][layer], dim))
    plan.finish()
    positions: list[int] = plan.kept(0).head(0).tolist()
    if len(positions) < tokens and len(positions) % chunk:
        raise ValueError(
            f"{plan.method.name} keeps {len(positions)} tokens: expected a multiple of {chunk}; of windowkv set charge=1"
        )
    return positions


def _model(kv: Any, queries: Any, tokens: int, dim: int, scale: float) -> Model:
    """Read off the shapes."""
    for name, tensor in (("kv", kv), ("query", queries)):
        if tensor is not None and not hasattr(tensor, "shape"):
            raise TypeError(f"{name} is a {type(tensor).__name__}: expected a tensor of torch or an array of numpy")
    if kv is None or len(kv.shape) != 4 or kv.shape[0] != 2 or kv.shape[3] % dim or kv.shape[2] != tokens:
        shape = None if kv is None else tuple(kv.shape)
        raise ValueError(
            f"kv has shape {shape}: expected (2, L, {tokens}, H * {dim}), keys and values of {tokens} tokens"
        )
    heads = kv.shape[3] // dim
    if queries is None:
        return Model(kv.shape[1], heads, heads, dim, scale)
    shape = tuple(queries.shape)
    if len(shape) != 4 or shape[:3] != (1, *kv.shape[1:3]) or shape[3] % dim:
        raise ValueError(f"query has shape {shape}: expected (1, {kv.shape[1]}, {tokens}, Hq * {dim}), as kv has")
    return Model(kv.shape[1], shape[3] // dim, heads, dim, scale)


def _heads(rows: Any, dim: int) -> Any:
    """(T, H D) as (H, T, D), a view."""
    return rows.reshape(rows.shape[0], -1, dim).swapaxes(0, 1)


def _empty(kv: Any, tokens: int) -> Any:
    """A new cache of `kv`'s kind."""
    shape = (2, kv.shape[1], tokens, kv.shape[3])
    return kv.new_empty(shape) if hasattr(kv, "new_empty") else np.empty(shape, kv.dtype)

"""What the library is given of a layer: the tensors themselves, or attention that torch has computed from them.

The library reads memory of the CPU, and knows of attention scale * q . k and its softmax. If a tensor is elsewhere, or the
model's attention has a softcap or sinks, the attention of the rows that the method looks at is computed here, on the
tensor's device, and only that comes over.
Letters: Hq query heads, H key/value heads, R query rows, n rows of the cache, D head size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from ..plan import Plan

ROWS_AT_ONCE = 256
"""Query rows whose attention is in memory at one time, where a method looks at all."""
TAKES_NO_SUMS = ("ahakv",)
"""Methods that look at each row by itself."""


@dataclass(frozen=True)
class Attention:
    """How a layer attends: softmax(cap(scale * q . k)), with a further logit for each query head if there are sinks."""

    scale: float
    softcap: float | None = None
    sinks: Any = None


def in_memory(tensor: Any) -> bool:
    """Whether the library can read it as it is."""
    return bool(tensor.device.type == "cpu")


def is_plain(plan: Plan, queries: Any, how: Attention) -> bool:
    """Whether queries and keys say all that the library must know."""
    return (
        in_memory(queries)
        and how.softcap is None
        and how.sinks is None
        and np.float32(how.scale) == np.float32(plan.model.scale)
    )


def rows_read(plan: Plan, layer: int) -> int | None:
    """How many of the last queries the method reads in `layer`; None for all."""
    needs = plan.needs(layer)
    if "all_queries" in needs:
        return None
    if "queries" not in needs:
        return 0
    has_window = any(info.name == "window" for info in plan.method.parameters)
    return int(plan["window"]) if has_window else 1


def observe(plan: Plan, layer: int, queries: Any, keys: Any, values: Any, counts: list[int], how: Attention) -> None:
    """plan.observe: queries (Hq, R, D), keys and values (H, n, any), of which head h has the last counts[h] rows."""
    needs = plan.needs(layer)
    if is_plain(plan, keys, how):
        plan.observe(layer, queries if "queries" in needs else None, keys, values)
        return
    given = _values(plan, values) if "values" in needs else None
    if "queries" in needs:
        if plan.method.name in TAKES_NO_SUMS:
            seen, kind = probabilities(queries, keys, counts, how), "probabilities"
        else:
            seen, kind = sums(queries, keys, counts, how), "sums"
        plan.observe(layer, attention=seen.cpu(), kind=kind, values=given)
    elif "keys" in needs:
        plan.observe(layer, None, keys.cpu(), given)
    else:
        # Of keys at most the shape is read; the array's pages are never touched.
        plan.observe(layer, None, np.empty(tuple(keys.shape), np.float32), given)


def step(plan: Plan, layer: int, queries: Any, keys: Any, values: Any, how: Attention) -> Any:
    """plan.step: the slots that the new rows, the last of keys and values, move to, or -1. (H, m)"""
    needs = plan.needs(layer)
    if is_plain(plan, keys, how):
        return plan.step(layer, queries, keys, values)
    if "queries" not in needs:
        return plan.step(layer, None, np.empty(tuple(keys.shape), np.float32))
    given = _values(plan, values) if "values" in needs else None
    return plan.step(layer, logits=logits(queries, keys, how).cpu(), values=given)


def logits(queries: Any, keys: Any, how: Attention) -> Any:
    """(Hq, R, n) float32, before any mask."""
    heads, _, dim = keys.shape
    rows = queries.shape[1]
    grouped = queries.float().reshape(heads, -1, dim)
    found = torch.matmul(grouped, keys.float().transpose(1, 2)) * how.scale
    if how.softcap is not None:
        found = torch.tanh(found / how.softcap) * how.softcap
    return found.reshape(-1, rows, keys.shape[1])


def probabilities(queries: Any, keys: Any, counts: list[int], how: Attention, behind: int = 0) -> Any:
    """(Hq, R, n) float32: the attention of R queries, the last of which has `behind` rows behind its own."""
    found = logits(queries, keys, how)
    rows, total = found.shape[1:]
    column = torch.arange(total, device=found.device)
    last = total - behind - rows + torch.arange(rows, device=found.device)
    first = total - torch.tensor(counts, device=found.device).repeat_interleave(found.shape[0] // len(counts))
    hidden = (column > last[:, None])[None] | (column < first[:, None])[:, None]
    found.masked_fill_(hidden, -torch.inf)
    if how.sinks is None:
        return torch.softmax(found, -1)
    sinks = how.sinks.float().reshape(-1, 1, 1).expand(-1, rows, 1)
    return torch.softmax(torch.cat([found, sinks], -1), -1)[..., :-1]


def sums(queries: Any, keys: Any, counts: list[int], how: Attention) -> Any:
    """(Hq, 1, n) float32: what each row is paid by all R queries together."""
    rows = queries.shape[1]
    total = queries.new_zeros((queries.shape[0], keys.shape[1]), dtype=torch.float32)
    for begin in range(0, rows, ROWS_AT_ONCE):
        end = min(begin + ROWS_AT_ONCE, rows)
        total += probabilities(queries[:, begin:end], keys, counts, how, behind=rows - end).sum(1)
    return total[:, None]


def _values(plan: Plan, values: Any) -> Any:
    """Values on the CPU. AhaKV reads their norms only, so a number a row does."""
    if plan.method.name == "ahakv" and not in_memory(values):
        values = torch.linalg.vector_norm(values.float(), dim=-1, keepdim=True)
    return values.cpu()

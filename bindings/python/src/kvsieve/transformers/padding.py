"""Which columns of a forward pass are tokens, as its mask says: (B, columns) bool on the CPU, False for padding; None if all are."""

from __future__ import annotations

from typing import Any


def a_pass(mask: Any, columns: int) -> Any:
    """Of the columns that the pass and its cache have. mask: as the model was given it."""
    if mask is None:
        return None
    if mask.shape[1] < columns:
        raise ValueError(
            f"attention_mask has {mask.shape[1]} columns: expected {columns}, those of the cache and the new ones"
        )
    return mask[:, :columns].bool().cpu()


def shown(padding: Any, columns: int) -> Any:
    """Of the first columns; None if all are tokens."""
    if padding is None or bool(padding[:, :columns].all()):
        return None
    return padding[:, :columns].clone()


def check_same(now: Any, then: Any, columns: int) -> None:
    """Refuses a mask that does not show the first columns as it did when they were compressed."""
    if now is None and then is None or now is not None and then is not None and bool((now == then).all()):
        return
    counts = ["all" if one is None else one.sum(1).tolist() for one in (now, then)]
    others = " others" if counts[0] == counts[1] else ""
    raise ValueError(
        f"attention_mask shows {counts[0]} of the first {columns} tokens, and {counts[1]}{others} when they were compressed: "
        f"expected no change"
    )

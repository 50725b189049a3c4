"""What a type checker is told. At run time the library says which parameters there are."""

from __future__ import annotations

from typing import Any, Literal, Protocol, SupportsFloat, TypedDict, TypeVar

import numpy as np

Out = TypeVar("Out")
Number = TypeVar("Number", bound=np.generic)


class TorchLike(Protocol):
    """A torch tensor, without torch."""

    def new_empty(self, *size: Any) -> Any: ...


Torch = TypeVar("Torch", bound=TorchLike)


class Keywords(TypedDict, total=False):
    """What Plan and compress take beside their own arguments; each method has some of them (kvsieve.methods())."""

    budget: SupportsFloat
    ratio: SupportsFloat
    window: SupportsFloat
    pool_kernel: SupportsFloat
    pool: SupportsFloat | Literal["mean", "max"]
    threads: SupportsFloat
    decoding: SupportsFloat
    gain_floor: SupportsFloat
    sinks: SupportsFloat
    score_kernel: SupportsFloat
    share: SupportsFloat
    even: SupportsFloat
    block: SupportsFloat
    align: SupportsFloat
    mass: SupportsFloat
    report: SupportsFloat
    coarse: SupportsFloat
    beta: SupportsFloat
    top: SupportsFloat
    recent: SupportsFloat
    semantic: SupportsFloat
    task: SupportsFloat | Literal["localization", "aggregation"]
    size: SupportsFloat
    shared: SupportsFloat
    pyramid: SupportsFloat
    charge: SupportsFloat
    cap: SupportsFloat
    every: SupportsFloat
    normal: SupportsFloat
    recent_ratio: SupportsFloat
    floor: SupportsFloat
    seed: SupportsFloat

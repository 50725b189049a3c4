"""A collective of threads, or of processes, for plans that join; and parts of a model that they have."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import kvsieve


@dataclass(frozen=True)
class Part:
    """Layers and heads of the whole model."""

    layers: range
    heads: range


class Threads:
    """Ranks that are threads of this process. `spoil(rank, call, receive)` may change what a rank receives, or raise."""

    def __init__(self, ranks: int, spoil: Callable[[int, int, Any], None] | None = None) -> None:
        self.ranks, self.spoil = ranks, spoil
        self.barrier = threading.Barrier(ranks, timeout=60)
        self.messages: list[bytes] = [b""] * ranks
        self.sent: list[list[int]] = [[] for _ in range(ranks)]
        """Bytes of each message of each rank."""

    def all_gather(self, rank: int) -> Callable[[Any, Any], None]:
        def gather(send: Any, receive: Any) -> None:
            self.messages[rank] = send.tobytes()
            self.sent[rank].append(len(send))
            self.barrier.wait()
            joined = b"".join(self.messages)
            self.barrier.wait()
            if len(joined) != len(receive):
                raise ValueError(f"{len(joined)} bytes came, {len(receive)} were expected")
            receive[:] = np.frombuffer(joined, np.uint8)
            if self.spoil:
                self.spoil(rank, len(self.sent[rank]) - 1, receive)

        return gather

    def run(self, work: Callable[[int], Any]) -> list[Any]:
        """What `work` returns or raises, by rank. A rank that raises lets no other wait."""
        results: list[Any] = [None] * self.ranks

        def one(rank: int) -> None:
            try:
                results[rank] = work(rank)
            except Exception as error:
                results[rank] = error
                if not isinstance(error, kvsieve.KVSieveError):
                    self.barrier.abort()

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.ranks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


def joined(
    plan: kvsieve.Plan, parts: list[Part], rank: int, all_gather: Callable[[Any, Any], None], **other: Any
) -> kvsieve.Plan:
    place: dict[str, Any] = {
        "layers": max(part.layers.stop for part in parts),
        "heads": max(part.heads.stop for part in parts),
        "first_layer": parts[rank].layers.start,
        "first_head": parts[rank].heads.start,
        **other,
    }
    plan.join(all_gather, rank, len(parts), **place)
    return plan


def plan_of(part: Part, model: kvsieve.Model, method: str, **parameters: Any) -> kvsieve.Plan:
    group = model.query_heads // model.kv_heads
    own = kvsieve.Model(len(part.layers), len(part.heads) * group, len(part.heads), model.head_dim)
    return kvsieve.Plan(method, own, **parameters)


def heads_of(array: np.ndarray, part: Part, model: kvsieve.Model) -> np.ndarray:
    """The part's heads of one layer's (heads or query heads, ...)."""
    each = array.shape[0] // model.kv_heads
    return array[part.heads.start * each : part.heads.stop * each]


def tensor_parallel(layers: int, heads: int, ranks: int) -> list[Part]:
    bounds = [heads * rank // ranks for rank in range(ranks + 1)]
    return [Part(range(layers), range(bounds[rank], bounds[rank + 1])) for rank in range(ranks)]


def pipeline_parallel(layers: int, heads: int, ranks: int) -> list[Part]:
    bounds = [layers * rank // ranks for rank in range(ranks + 1)]
    return [Part(range(bounds[rank], bounds[rank + 1]), range(heads)) for rank in range(ranks)]


def both(layers: int, heads: int) -> list[Part]:
    """A stage of two ranks, and one of two others whose heads are cut otherwise."""
    return [
        Part(range(1), range(heads - 1)),
        Part(range(1, layers), range(1)),
        Part(range(1), range(heads - 1, heads)),
        Part(range(1, layers), range(1, heads)),
    ]

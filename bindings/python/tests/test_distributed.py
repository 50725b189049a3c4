"""kvsieve.distributed by stand-ins with the names of mpi4py and torch, which are not installed here: ranks are threads."""

from __future__ import annotations

import sys
import threading
import types
from typing import Any

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, Cache
from ranks import Threads

import kvsieve
from kvsieve import distributed

GROUP = QUERY_HEADS // KV_HEADS


class Communicator:
    """As mpi4py.MPI.Comm is."""

    def __init__(self, threads: Threads, rank: int) -> None:
        self.gather, self.rank, self.ranks = threads.all_gather(rank), rank, threads.ranks

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return self.ranks

    def Allgather(self, send: Any, receive: Any) -> None:
        self.gather(send, receive)


class FakeTensor:
    """As torch.Tensor is, around an array; `device` is where it was sent."""

    def __init__(self, array: np.ndarray, device: str = "cpu") -> None:
        self.array, self.device = array, device

    def to(self, device: str) -> FakeTensor:
        return FakeTensor(self.array.copy(), device)

    def cpu(self) -> FakeTensor:
        return FakeTensor(self.array)

    def numpy(self) -> np.ndarray:
        assert self.device == "cpu"
        return self.array


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> tuple[Threads, Any, set[str]]:
    """Threads that are ranks by torch's names, the number of this thread's rank, and the devices that were asked for."""
    threads, here, devices = Threads(KV_HEADS), threading.local(), set()
    stand_in: Any = types.ModuleType("torch")
    stand_in.distributed = types.ModuleType("torch.distributed")
    stand_in.from_numpy = FakeTensor
    stand_in.empty_like = lambda like: FakeTensor(np.empty_like(like.array), like.device)
    stand_in.distributed.get_rank = lambda _: here.rank
    stand_in.distributed.get_world_size = lambda _: KV_HEADS

    def all_gather(pieces: list[FakeTensor], own: FakeTensor, group: Any) -> None:
        assert group == "group"
        devices.add(own.device)
        received = np.empty(own.array.size * len(pieces), np.uint8)
        threads.all_gather(here.rank)(own.array, received)
        for piece, part in zip(pieces, np.split(received, len(pieces))):
            piece.array[:] = part

    stand_in.distributed.all_gather = all_gather
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    monkeypatch.setitem(sys.modules, "torch.distributed", stand_in.distributed)
    return threads, here, devices


def of_rank(cache: Cache, rank: int, group: Any, **more: Any) -> list[list[int]]:
    """A rank has one key/value head of every layer: what it keeps."""
    with kvsieve.Plan("dynamickv", kvsieve.Model(LAYERS, GROUP, 1, DIM), budget=64, window=8) as plan:
        distributed.join(plan, group, layers=LAYERS, heads=KV_HEADS, first_head=rank, **more)
        for layer in range(LAYERS):
            queries, keys, values = cache.layer(layer)
            plan.observe(
                layer, queries[GROUP * rank : GROUP * (rank + 1)], keys[rank : rank + 1], values[rank : rank + 1]
            )
        plan.finish()
        return [plan.kept(layer).head(0).tolist() for layer in range(LAYERS)]


def of_one(cache: Cache) -> list[list[list[int]]]:
    """By rank what one plan keeps."""
    with kvsieve.Plan("dynamickv", MODEL, budget=64, window=8) as plan:
        cache.through(plan)
        return [[plan.kept(layer).head(head).tolist() for layer in range(LAYERS)] for head in range(KV_HEADS)]


def test_a_communicator_of_mpi4py(cache: Cache) -> None:
    threads = Threads(KV_HEADS)
    assert threads.run(lambda rank: of_rank(cache, rank, Communicator(threads, rank))) == of_one(cache)


@pytest.mark.parametrize("device", [None, "cuda"])
def test_a_group_of_torch(cache: Cache, torch: Any, device: str | None) -> None:
    threads, here, devices = torch

    def work(rank: int) -> list[list[int]]:
        here.rank = rank
        return of_rank(cache, rank, "group", device=device)

    assert threads.run(work) == of_one(cache)
    assert devices == {device or "cpu"}


def test_a_plan_that_was_observed(cache: Cache) -> None:
    with kvsieve.Plan("snapkv", MODEL) as plan:
        plan.observe(0, *cache.layer(0))
        with pytest.raises(kvsieve.KVSieveError, match="join came after"):
            distributed.join(plan, Communicator(Threads(1), 0), layers=LAYERS, heads=KV_HEADS)

"""kvsieve.distributed over torch.distributed's gloo, in two processes: README's lines, and the same rows as one process keeps."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import torch.distributed as dist
import torch.multiprocessing as processes
from conftest import ROOT

import kvsieve

RANKS, LAYERS, T, BUDGET = 2, 32, 1500, 1024
README = (ROOT / "bindings/python/README.md").read_text()


def cache() -> dict[str, list[Any]]:
    """Of the whole model. All layers but four have the same tensors: they need not differ."""
    random = np.random.default_rng(3)
    shapes = {"queries": (32, 8, 128), "keys": (8, T, 128), "values": (8, T, 128)}
    few = {name: [random.standard_normal(shape, dtype=np.float32) for _ in range(4)] for name, shape in shapes.items()}
    return {name: [tensors[layer % 4] for layer in range(LAYERS)] for name, tensors in few.items()}


def rank(number: int, port: int, results: Any) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=number, world_size=RANKS)
    (block,) = [
        text.split("```")[0]
        for text in README.split("```python\n")[1:]
        if "kvsieve.distributed" in text.split("```")[0]
    ]
    block = block.replace(
        "    plan.finish()",
        "    plan.finish()\n    found = [plan.kept(layer).positions.tolist() for layer in range(32)]\n   ",
    )
    mine = {name: [np.split(tensor, RANKS)[number] for tensor in tensors] for name, tensors in cache().items()}
    scope: dict[str, Any] = dict(mine)
    exec(block, scope)  # noqa: S102
    results.put((number, scope["found"]))
    dist.destroy_process_group()


def test_two_processes_keep_what_one_keeps() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = processes.get_context("spawn")
    results = context.SimpleQueue()
    ranks = [context.Process(target=rank, args=(number, port, results)) for number in range(RANKS)]
    for process in ranks:
        process.start()
    found = dict(results.get() for _ in ranks)
    for process in ranks:
        process.join(60)
        assert process.exitcode == 0
    whole = cache()
    with kvsieve.Plan("dynamickv", kvsieve.Model(LAYERS, 32, 8, 128), budget=BUDGET) as plan:
        for layer in range(LAYERS):
            plan.observe(layer, *(whole[name][layer] for name in ("queries", "keys", "values")))
        plan.finish()
        for layer in range(LAYERS):
            kept = plan.kept(layer)
            parts = np.split(kept.positions, kept.offsets[[4]])
            assert [part.tolist() for part in parts] == [found[number][layer] for number in range(RANKS)]

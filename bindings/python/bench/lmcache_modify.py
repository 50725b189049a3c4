"""What the edit of an LMCache takes, beside the same in torch: SnapKV, one token set for all heads and layers, keys rotated anew.

    .venv-peers/bin/python bindings/python/bench/lmcache_modify.py      # after make bench-peers, PYTHONPATH=bindings/python/src

A layer has Llama-3-8B's shape, 32 query heads, 8 KV heads, head size 128, bfloat16; the prompt has 14,336 tokens, of which 2,048 stay.
Both take turns on the same tensors, in one process; a cell is the median processor time, and the time that passed. Their choices
are compared first: the torch way computes in bfloat16's products, so a few tokens at the cut differ.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

import kvsieve
import kvsieve.lmcache

HEADS, QUERY_HEADS, DIM, WINDOW, KERNEL = 8, 32, 128, 32, 7


def by_torch(
    kv: torch.Tensor, queries: torch.Tensor, budget: int, frequencies: torch.Tensor
) -> tuple[Any, torch.Tensor]:
    """The new cache and the positions that stay, as one would write it with torch."""
    layers, tokens = kv.shape[1], kv.shape[2]
    scores = torch.zeros(tokens - WINDOW)
    causal = torch.full((WINDOW, tokens), -torch.inf).triu(tokens - WINDOW + 1)
    for layer in range(layers):
        keys = kv[0, layer].view(tokens, HEADS, DIM).transpose(0, 1)
        last = queries[0, layer, -WINDOW:].view(WINDOW, HEADS, QUERY_HEADS // HEADS, DIM).permute(1, 2, 0, 3)
        logits = (last.reshape(HEADS, -1, DIM) @ keys.transpose(1, 2)).float().view(QUERY_HEADS, WINDOW, tokens)
        weights = torch.softmax(logits * DIM**-0.5 + causal, dim=-1)[..., :-WINDOW].sum(dim=1)
        pooled = torch.nn.functional.avg_pool1d(weights, KERNEL, 1, KERNEL // 2)
        scores += pooled.mean(dim=0)
    kept = torch.cat([scores.topk(budget - WINDOW).indices.sort().values, torch.arange(tokens - WINDOW, tokens)])
    new = kv[:, :, kept]
    angles = (torch.arange(budget) - kept)[:, None] * frequencies
    cosine, sine = (f(torch.cat([angles, angles], dim=-1))[:, None] for f in (torch.cos, torch.sin))
    keys = new[0].view(layers, budget, HEADS, DIM).float()
    half = torch.cat([-keys[..., DIM // 2 :], keys[..., : DIM // 2]], dim=-1)
    new[0] = (keys * cosine + half * sine).view(layers, budget, -1)
    return new, kept


def timed(work: Any) -> tuple[float, float]:
    """Milliseconds of the processor, and that passed."""
    processor, clock = time.process_time(), time.perf_counter()
    work()
    return 1e3 * (time.process_time() - processor), 1e3 * (time.perf_counter() - clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8, help="280 MB each")
    parser.add_argument("--tokens", type=int, default=14336)
    parser.add_argument("--budget", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1, help="of torch and of kvsieve")
    parser.add_argument("--samples", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    random = torch.Generator().manual_seed(0)
    kv = torch.randn(2, options.layers, options.tokens, HEADS * DIM, generator=random, dtype=torch.bfloat16)
    queries = torch.randn(1, options.layers, options.tokens, QUERY_HEADS * DIM, generator=random, dtype=torch.bfloat16)
    frequencies = 500000.0 ** (-torch.arange(0, DIM, 2) / DIM)
    modify = kvsieve.lmcache.modify_kv(
        "snapkv", head_dim=DIM, rope=kvsieve.Rope(frequencies), budget=options.budget, threads=options.threads
    )
    tokens: Sequence[int] = range(options.tokens)
    _, ours = modify({"kv": kv, "query": queries}, tokens)
    _, theirs = by_torch(kv, queries, options.budget, frequencies)
    print(f"{len(set(ours) & set(theirs.tolist()))} of {options.budget} tokens are the same")
    taken: dict[str, list[tuple[float, float]]] = {"kvsieve": [], "torch": []}
    for _ in range(options.samples):
        taken["kvsieve"].append(timed(lambda: modify({"kv": kv, "query": queries}, tokens)))
        taken["torch"].append(timed(lambda: by_torch(kv, queries, options.budget, frequencies)))
    print(f"{kvsieve.build_info()}; torch {torch.__version__}; {options.threads} threads; {datetime.date.today()}")
    print(
        f"| {options.layers} layers, {options.tokens:,} -> {options.budget:,} tokens | processor ms | ms | of 32 layers, processor s |"
    )
    print("|---|---|---|---|")
    for name, times in taken.items():
        processor, clock = (statistics.median(column) for column in zip(*times))
        print(f"| {name} | {processor:.0f} | {clock:.0f} | {processor * 32 / options.layers / 1000:.1f} |")


if __name__ == "__main__":
    main()

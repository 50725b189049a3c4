"""A corpus of prompts on a Ray cluster: what a method keeps of each prompt's cache, and what the model answers, as Parquet.

    recall/prompts.py 200 > prompts.jsonl           prompts for the small model of recall/
    corpus_ray.py prompts.jsonl out                 on a cluster in this machine; --address auto: on the one that runs
    corpus_ray.py prompts.jsonl out --workers 0     in this process, without Ray

It needs ray, pyarrow, numpy and kvsieve on every node, and this folder and `out` at the same path. Each worker holds the
model and one plan, which every prompt resets. To compress for your own model, replace Compressor.

A batch of prompts is one file, named by a hash of what is in it and of what is done with it. The file is complete when it
has its name. So a batch that runs again, because its worker was killed or the job was stopped, makes the same file again:
no prompt is lost, and none is there twice. Run the same command again to go on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from recall.model import Llama, RaggedCache

import kvsieve

MODEL = Path(__file__).resolve().parent / "recall"
NUMBERS = pa.list_(pa.int32())
COLUMNS = {
    "id": pa.string(),
    "method": pa.string(),
    "share": pa.float64(),  # of the cache's rows that are kept
    "positions": pa.list_(pa.list_(NUMBERS)),  # [layer][head]: ascending
    "whole": NUMBERS,  # the answer from the whole cache
    "compressed": NUMBERS,  # the answer from what is kept
}


class Compressor:
    """A worker: the model, and one plan for all its prompts."""

    def __init__(self, method: str, keep: float, out: str) -> None:
        self.llama, self.out = Llama(MODEL), Path(out)
        shape = (self.llama.layers, self.llama.query_heads, self.llama.kv_heads, self.llama.head_dim)
        self.plan = kvsieve.Plan(method, kvsieve.Model(*shape), ratio=keep)

    def run(self, name: str, lines: list[bytes]) -> int:
        """Makes the file of a batch, if an earlier try has not; how many prompts are in it."""
        if not (self.out / name).exists():
            rows = [self.compress(**json.loads(line)) for line in lines]
            unfinished = self.out / f".{name}.{os.urandom(8).hex()}"
            with unfinished.open("wb") as file:
                pq.write_table(pa.Table.from_pylist(rows, pa.schema(COLUMNS)), file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.out / name)
        return len(lines)

    def compress(self, id: str, tokens: list[int], length: int) -> dict[str, Any]:
        prefilled = self.llama.prefill(np.array(tokens), len(tokens))
        self.plan.reset()
        for number, layer in enumerate(prefilled):
            self.plan.observe(number, layer.queries, layer.keys, layer.values)
        self.plan.finish()
        kept = [self.plan.kept(number) for number in range(len(prefilled))]
        ends = np.arange(self.llama.kv_heads + 1) * len(tokens)
        whole, small = [], []
        for number, layer in enumerate(prefilled):
            keys, values = (self.plan.gather(number, rows) for rows in (layer.keys, layer.values))
            small.append(RaggedCache(keys, values, kept[number].offsets))
            whole.append(RaggedCache(np.concatenate(layer.keys), np.concatenate(layer.values), ends))
        return {
            "id": id,
            "method": self.plan.method.name,
            "share": sum(layer.total for layer in kept) / (len(kept) * ends[-1]),
            "positions": [[layer.head(head) for head in range(self.llama.kv_heads)] for layer in kept],
            "whole": self.llama.answer(whole, tokens[-1], len(tokens) - 1, length),
            "compressed": self.llama.answer(small, tokens[-1], len(tokens) - 1, length),
        }


def run(batches: dict[str, list[bytes]], workers: int, address: str, settings: Any) -> Iterator[int]:
    """How many prompts each batch had, when it is done. A killed worker is started again, and Ray repeats its batch."""
    if not workers or not batches:
        yield from map(Compressor(*settings).run, batches.keys(), batches.values())
        return
    import ray
    from ray.util import ActorPool

    ray.init(address, num_cpus=workers if address == "local" else None, include_dashboard=False)
    actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=3)(Compressor)
    pool = ActorPool([actor.remote(*settings) for _ in range(workers)])
    yield from pool.map_unordered(lambda worker, batch: worker.run.remote(*batch), batches.items())


def batches_of(lines: list[bytes], size: int, settings: str) -> dict[str, list[bytes]]:
    parts = [lines[first : first + size] for first in range(0, len(lines), size)]
    hashes = [hashlib.sha256(b"\n".join([settings.encode(), *part])).hexdigest() for part in parts]
    return {f"{number:06}-{each[:16]}.parquet": part for number, (each, part) in enumerate(zip(hashes, parts))}


def show(done: int, total: int, seconds: float, left: float) -> None:
    """A bar that grows in a terminal, lines elsewhere."""
    bar, ends = "#" * (30 * done // max(total, 1)), "\r" if sys.stderr.isatty() and done < total else "\n"
    text = f"[{bar:30}] {done} of {total} prompts, {seconds:.0f} s, {left:.0f} s left"
    print(f"{text:79}", end=ends, file=sys.stderr, flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("prompts", type=Path, help="JSON lines: id, tokens, length (how many tokens the answer has)")
    options.add_argument("out", type=Path, help="a folder for Parquet files")
    options.add_argument("--method", default="dynamickv")
    options.add_argument("--keep", type=float, default=0.12, help="share of the cache (default 0.12)")
    options.add_argument("--batch", type=int, default=8, help="prompts in a file (default 8)")
    options.add_argument("--workers", type=int, default=2, help="processes (default 2); 0: this one, without Ray")
    options.add_argument("--address", default="local", help="of a Ray cluster (default: one is started for this job)")
    chosen = options.parse_args()
    if chosen.batch < 1 or chosen.workers < 0:
        options.error("expected --batch of at least 1 and --workers of at least 0")
    lines = chosen.prompts.read_bytes().splitlines()
    if len({json.loads(line)["id"] for line in lines}) < len(lines):
        sys.exit(f"{chosen.prompts}: two prompts have one id")
    chosen.out.mkdir(parents=True, exist_ok=True)
    settings = (chosen.method, chosen.keep, str(chosen.out.resolve()))
    batches = batches_of(lines, chosen.batch, f"{chosen.method} {chosen.keep} {kvsieve.__version__}")
    finished = {path.name for path in chosen.out.glob("*.parquet")}
    if others := sorted(finished - batches.keys()):
        sys.exit(f"{chosen.out}: {others[0]} is of another job: other prompts or other options. Take an empty folder")
    todo = {name: part for name, part in batches.items() if name not in finished}
    before = done = len(lines) - sum(map(len, todo.values()))
    began = time.monotonic()
    show(done, len(lines), 0, 0)
    for count in run(todo, chosen.workers, chosen.address, settings):
        done += count
        seconds = time.monotonic() - began
        show(done, len(lines), seconds, seconds * (len(lines) - done) / (done - before))
    for unfinished in chosen.out.glob(".*.parquet.*"):  # of workers that were killed
        unfinished.unlink()


if __name__ == "__main__":
    main()

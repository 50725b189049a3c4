"""Does a compressed KV cache still answer? A small trained Llama, two tasks, several methods, two tables.

Every prompt is prefilled once. It is then answered from its whole cache and, for each share and method, from what the
method keeps; the answer is right or wrong. The second table is of caches that are held at their size while tokens are
added (stream.py). `make demo` runs this file; --help lists its options.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import stream
from model import Llama
from prompts import AGGREGATION, RECALL, TOKENS, PromptMaker
from sieve import (
    FULL,
    METHODS,
    SINKS,
    SINKS_AND_RECENT,
    WINDOW,
    Compressed,
    keep_all,
    keep_by_method,
    keep_sinks_and_recent,
)

import kvsieve

HERE = Path(__file__).resolve().parent
SHARES = (0.40, 0.12, 0.069, 0.035)

EXPLANATION = (
    "share: of the cache. kept: mean tokens. KB: keys and values of a prompt. ms: processor time, median.\n"
    "Recall needs two values (in brackets: the first was right). dynamickv pools by max here, its default is mean.\n"
    "ahakv does not pool attention: of two neighbouring values it keeps the one the question looks at.\n"
    "'ahakv, pooled' does, with score_kernel 7: it keeps neighbours, as the other methods do.\n"
    "'sinks 4 + recent' looks at no attention: what it loses is what each task costs without a method."
)


@dataclass(frozen=True)
class Outcome:
    """One prompt answered from one cache."""

    task: str
    right: bool
    first: bool  # the first token of the answer was right
    kept: float  # tokens, mean over layers and heads
    before: float  # KB of keys and values
    after: float
    share: float
    milliseconds: float | None
    refusal: str | None


@dataclass(frozen=True)
class Row:
    """One line of the table: every prompt, one method, one share."""

    method: str
    share: float
    kept: float
    tokens: int
    kilobytes_before: float
    kilobytes_after: float
    recall: int  # right answers
    recall_first: int  # right first tokens
    aggregation: int
    prompts: int  # of each task
    milliseconds: float | None
    refusal: str | None


class Examiner:
    """A process's model and prompts; answers one prompt from every cache of the table."""

    def __init__(self, seed: int) -> None:
        self.llama = Llama(HERE)
        self.maker = PromptMaker(HERE, seed)
        self.model = kvsieve.Model(
            layers=self.llama.layers,
            query_heads=self.llama.query_heads,
            kv_heads=self.llama.kv_heads,
            head_dim=self.llama.head_dim,
        )

    def examine(self, task: str, index: int, shares: tuple[float, ...]) -> dict[tuple[str, float], Outcome]:
        """Prefills prompt `index` of `task` once; an outcome for every (method, share) of the table."""
        prompt = self.maker.prompt(task, index)
        prefilled = self.llama.prefill(prompt.tokens, WINDOW)
        layers, (heads, tokens, dim) = len(prefilled), prefilled[0].keys.shape
        kilobytes = 2 * dim * prefilled[0].keys.itemsize / 1024  # of one token in one head, key and value

        def judge(compressed: Compressed) -> Outcome:
            rows = sum(len(cache.keys) for cache in compressed.caches)
            answer = self.llama.answer(compressed.caches, int(prompt.tokens[-1]), tokens - 1, len(prompt.answer))
            return Outcome(
                task=task,
                right=answer == prompt.answer,
                first=answer[0] == prompt.answer[0],
                kept=rows / (layers * heads),
                before=layers * heads * tokens * kilobytes,
                after=rows * kilobytes,
                share=compressed.share,
                milliseconds=compressed.milliseconds,
                refusal=compressed.refusal,
            )

        outcomes = {(FULL, 1.0): judge(keep_all(prefilled))}
        for share in shares:
            outcomes[SINKS_AND_RECENT, share] = judge(keep_sinks_and_recent(prefilled, share))
            for method in METHODS:
                outcomes[method, share] = judge(keep_by_method(method, self.model, prefilled, share, task))
        return outcomes

    def follow(self, cache: str, index: int, asked_at: tuple[int, ...]) -> stream.Streamed:
        """Prompt `index`, token by token, through one of stream.CACHES."""
        return stream.stream(cache, self.llama, self.model, self.maker, index, asked_at)


_examiner: Examiner  # of a worker process


def _start_worker(seed: int) -> None:
    global _examiner
    _examiner = Examiner(seed)


def _work(method: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return method(_examiner, *arguments)


def _work_all(seed: int, method: Callable[..., Any], calls: list[tuple[Any, ...]]) -> Iterator[Any]:
    """Calls of an Examiner's method, a process a core; yields results as they are done."""
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # the cores are taken by processes
        os.environ[variable] = "1"
    workers = min(len(os.sched_getaffinity(0)), len(calls))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (seed,)) as pool:
        for job in as_completed([pool.submit(_work, method, arguments) for arguments in calls]):
            yield job.result()


def examine_all(prompts: int, seed: int, shares: tuple[float, ...]) -> Iterator[dict[tuple[str, float], Outcome]]:
    """`prompts` of each task, from every cache of the table."""
    calls = [(task, index, shares) for index in range(prompts) for task in (RECALL, AGGREGATION)]
    return _work_all(seed, Examiner.examine, calls)


def stream_all(prompts: int, seed: int, asked_at: tuple[int, ...] = stream.ASKED_AT) -> Iterator[stream.Streamed]:
    """`prompts` of the aggregation task, each token by token through every cache of stream.CACHES."""
    calls = [(cache, index, asked_at) for index in range(prompts) for cache in stream.CACHES]
    return _work_all(seed, Examiner.follow, calls)


def summarize(method: str, outcomes: list[Outcome], prompts: int) -> Row:
    """A line of the table from the outcomes of all prompts."""
    recalls = [outcome for outcome in outcomes if outcome.task == RECALL]
    times = [outcome.milliseconds for outcome in outcomes if outcome.milliseconds is not None]
    return Row(
        method=method,
        share=statistics.mean(outcome.share for outcome in outcomes),
        kept=statistics.mean(outcome.kept for outcome in outcomes),
        tokens=TOKENS,
        kilobytes_before=outcomes[0].before,
        kilobytes_after=statistics.mean(outcome.after for outcome in outcomes),
        recall=sum(outcome.right for outcome in recalls),
        recall_first=sum(outcome.first for outcome in recalls),
        aggregation=sum(outcome.right for outcome in outcomes if outcome.task == AGGREGATION),
        prompts=prompts,
        milliseconds=statistics.median(times) if times else None,
        refusal=next((outcome.refusal for outcome in outcomes if outcome.refusal), None),
    )


def table(rows: list[Row]) -> str:
    """The rows as text, a blank line before each share, refusals below, the explanation last."""
    heading = (
        f"{'method':<18}{'share':>8}  {'kept a head':>14}  {'KB before -> after':>18}"
        f"  {'recall right':>14}  {'aggregation right':>17}  {'ms in library':>13}"
    )
    lines = [heading, "-" * len(heading)]
    for row in rows:
        if row.method == SINKS_AND_RECENT:
            lines.append("")
        share = f"{100 * row.share:.3g} %" + ("*" if row.refusal else " ")
        kept = f"{row.kept:.0f} of {row.tokens}"
        kilobytes = f"{row.kilobytes_before:.0f} -> {row.kilobytes_after:.0f}"
        milliseconds = "-" if row.milliseconds is None else f"{row.milliseconds:.1f}"
        recall = f"{row.recall} ({row.recall_first}) of {row.prompts}"
        aggregation = f"{row.aggregation} of {row.prompts}"
        lines.append(
            f"{row.method:<18}{share:>8}  {kept:>14}  {kilobytes:>18}  {recall:>14}  {aggregation:>17}"
            f"  {milliseconds:>13}"
        )
    refused = [f"* {row.method}: {row.refusal}" for row in rows if row.refusal]
    return "\n".join([*lines, "", *refused, EXPLANATION])


def watched(results: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """The results one by one; how many of `total` are done, and the seconds they took, are written to stderr."""
    start = time.perf_counter()
    for done, result in enumerate(results, 1):
        if sys.stderr.isatty() or done == total:
            print(f"\r{done} of {total} {what}", end="", file=sys.stderr, flush=True)
        yield result
    print(f", {time.perf_counter() - start:.0f} s", file=sys.stderr)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--prompts", type=int, default=32, help="of each task (default 32)")
    options.add_argument("--seed", type=int, default=0, help="of the prompts (default 0)")
    options.add_argument("--shares", type=float, nargs="+", default=SHARES, help="of the cache, 0 .. 1")
    options.add_argument("--streams", type=int, default=8, help="prompts token by token, 0 for none (default 8)")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the first table's rows there")
    chosen = options.parse_args()
    if chosen.prompts < 1:
        options.error("--prompts must be at least 1")
    if chosen.streams < 0:
        options.error("--streams must be at least 0")
    if not all(SINKS < int(share * TOKENS) <= TOKENS for share in chosen.shares):
        options.error(f"--shares must keep more than {SINKS} of {TOKENS} tokens, and no more than all")

    outcomes = defaultdict(list)
    every = examine_all(chosen.prompts, chosen.seed, tuple(chosen.shares))
    for examined in watched(every, 2 * chosen.prompts, f"prompts of {TOKENS} tokens"):
        for row, outcome in examined.items():
            outcomes[row].append(outcome)
    rows = [summarize(method, answered, chosen.prompts) for (method, _), answered in outcomes.items()]
    print(table(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if chosen.streams:
        total = chosen.streams * len(stream.CACHES)
        streams = list(watched(stream_all(chosen.streams, chosen.seed), total, f"streams of {TOKENS} tokens"))
        print("\n" + stream.table(streams, chosen.seed))


if __name__ == "__main__":
    main()

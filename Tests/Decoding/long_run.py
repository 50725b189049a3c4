"""One sequence of 100,000 tokens a method: the memory, the same again after reset, and every decision against the replay."""

from __future__ import annotations

import os
import resource
from collections import Counter
from pathlib import Path

import numpy as np

import kvsieve
import trials
from Decoding.comparison import differs
from engine.decoder import MOST, Decoder
from engine.engine import Engine
from engine.rows import Array, Source
from reference.by_name import decoding_reference, reference
from reference.decoding import Replay, Sizes
from reference.shares import Parameters

TOKENS, PROMPT, BLOCK, NEVER = 100_000, 50, 500, 1 << 60
GROWTH = 8 << 20
"""Bytes by which the process may grow between token 1,000 and the last."""
MODEL, SIZES = kvsieve.Model(layers=1, query_heads=2, kv_heads=1, head_dim=8), Sizes(2, 1, 8, 6)
SETTINGS: Parameters = dict(budget=32, decoding=1, window=8, pool_kernel=5, sinks=1, recent_ratio=0.25)
"""Of the parameters that a method has, these."""


def resident() -> int:
    """Bytes in memory now; if the system does not say, the most so far."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sequence(plan: kvsieve.Plan, replay: Replay, compares: bool, count: Counter[str]) -> Array:
    """All slots that were left, in order. Either every one is compared, or the memory is watched."""
    source = Source(np.random.default_rng(5), MODEL, SIZES.value_dim, np.float32, topics=True)
    prompt = source.rows(PROMPT)
    engine = Engine(plan, "head-major", in_place=False, sparing=True)
    if wrong := engine.go_on([prompt]):
        raise AssertionError(wrong)
    decoder = Decoder(engine)
    evicted = np.zeros(TOKENS, np.int32)
    replay.prefill(*prompt.exact(0, PROMPT), kept=decoder.kept)
    draft = min(MOST, replay.recent)
    before = 0
    for index in range(TOKENS):
        at = index % BLOCK
        if at == 0:
            new = source.rows(BLOCK)
        if index % 97 == 5:  # a draft that is rejected
            decoder.settle(decoder.step(new, (at + 200) % (BLOCK - 3), draft), 0)
        evict = decoder.step(new, at, 1)
        evicted[index] = evict[0, 0]
        if compares:
            gone = decoder.left(evict)
            mine = replay.step(*new.exact(at, at + 1), left=gone)
            if mine[0][0] != gone[0][0] and (wrong := differs(replay, 0, gone[0][0], count)):
                raise AssertionError(f"token {index}: {gone[0][0]} left, not {mine[0][0]} ({wrong})")
            count["evictions"] += 1
        decoder.settle(evict, 1)
        if index == 1000:
            before = resident()
        if index % 5000 == 0 and (wrong := decoder.wrong_slots()):
            raise AssertionError(wrong)
    growth = resident() - before
    if not compares:
        count["KiB grown"] = growth >> 10
        if growth > GROWTH:
            raise AssertionError(f"the process grew by {growth} bytes in {TOKENS - 1000} tokens")
    if wrong := decoder.wrong_slots():
        raise AssertionError(wrong)
    return evicted


def long_run(case: trials.Case) -> trials.Outcome:
    """A task of check.py."""
    method = case[0]
    count: Counter[str] = Counter(tokens=TOKENS)
    defaults = reference(method).DEFAULTS
    p = {**defaults, **{name: value for name, value in SETTINGS.items() if name in defaults}}
    replay = decoding_reference(method, SIZES, p)
    replay.check_every = NEVER
    with kvsieve.Plan(method, MODEL, **p) as plan:
        first = sequence(plan, replay, False, count)
        plan.reset()
        again = sequence(plan, replay, True, count)
    if not np.array_equal(first, again):
        return count, f"after reset, token {np.flatnonzero(first != again)[0]} differs"
    return count, None

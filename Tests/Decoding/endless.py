"""One sequence of 100,000 tokens a method: every decision, the memory, and the same again after reset.

The truth is kept by slot, in float64 and O(C) a token; during the first tokens it is held against replay.py itself.
"""
from __future__ import annotations

import os
import resource
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, Optional

import numpy as np

import kvsieve
from engine import Engine, Source
from replay import AhaReplay, H2OReplay, Replay

TOKENS, PROMPT, BLOCK, WITH_REPLAY = 100_000, 50, 500, 300
BUDGET, WINDOW, KERNEL, RATIO = 32, 8, 5, 0.25
GROWTH = 8 << 20
"""Bytes by which the process may grow between token 1,000 and the last."""
TIE, NOTHING = 1e-5, 1e-30
MODEL, VALUE_DIM = kvsieve.Model(layers=1, query_heads=2, kv_heads=1, head_dim=8), 6
SIZES = (2, 1, 8, 6)
SETTINGS: dict[str, dict[str, Any]] = {
    "ahakv": {"window": WINDOW, "pool_kernel": KERNEL, "sinks": 1},
    "h2o": {"recent_ratio": RATIO},
}


def replay_of(method: str) -> Replay:
    if method == "h2o":
        return H2OReplay(*SIZES, BUDGET, RATIO)
    return AhaReplay(*SIZES, BUDGET, WINDOW, KERNEL, 0.0, 1)


class Slots:
    """Evidence for the tokens in BUDGET slots and a newest one behind them; begins where a replay has just begun."""

    def __init__(self, replay: Replay) -> None:
        self.replay, self.aha = replay, isinstance(replay, AhaReplay)
        self.positions = replay.alive[0][-1].copy()
        self.tokens = replay.tokens
        self.keys = replay.k[0, self.positions]
        self.norms = np.zeros(PROMPT + TOKENS + 2 * KERNEL)  # of position p at p + KERNEL
        self.norms[KERNEL : KERNEL + PROMPT] = (replay.v[0] ** 2).sum(-1)
        self.rows: list[np.ndarray] = []
        self.sums = np.zeros(BUDGET)
        if self.aha:
            for position in range(replay.first, PROMPT):
                row = np.zeros(PROMPT)
                lived, weights = replay.row(0, position, replay.gain(position + 1))  # type: ignore[attr-defined]
                row[lived] = weights
                self.rows.append(row[self.positions])
        else:
            self.sums = replay.sums[0][-1][self.positions]

    def arrive(self, query: np.ndarray, key: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The newest token; candidates (slots) and their scores."""
        position = self.tokens
        self.tokens += 1
        self.keys = np.vstack([self.keys, key])
        self.positions = np.append(self.positions, position)
        self.norms[KERNEL + position] = value @ value
        gain = self.replay.gain(position + 1) if self.aha else 1.0  # type: ignore[attr-defined]
        logits = gain * self.replay.s * (query @ self.keys.T)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        row = (weights / weights.sum(1, keepdims=True)).mean(0)
        if self.aha:
            self.rows = [*(np.append(old, 0) for old in self.rows[1 - WINDOW :]), row]
            near = np.arange(-(KERNEL // 2), KERNEL // 2 + 1) + KERNEL
            scores = sum(self.rows) * self.norms[self.positions[:, None] + near].mean(1)
        else:
            self.sums = np.append(self.sums, 0) + row
            scores = self.sums
        due = (self.positions <= position - self.replay.recent) & (self.positions >= self.replay.sinks)
        slots = np.flatnonzero(due)
        return slots, scores[slots]

    def leave(self, slot: int) -> None:
        """The newest takes over a slot."""
        for array in (self.keys, self.positions, self.sums, *self.rows):
            if len(array) > BUDGET:
                array[slot] = array[BUDGET]
        self.keys, self.positions, self.sums = (a[:BUDGET] for a in (self.keys, self.positions, self.sums))
        self.rows = [row[:BUDGET] for row in self.rows]


def resident() -> int:
    """Bytes in memory now; where the system does not tell, the most there have been."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sequence(plan: kvsieve.Plan, replay: Optional[Replay], count: Counter[str]) -> np.ndarray:
    """All slots that were left, in order; against the truth where there is a replay to begin it with."""
    source = Source(np.random.default_rng(5), MODEL, VALUE_DIM, np.float32, topics=True)
    prompt = source.rows(PROMPT)
    engine = Engine(plan, prompt)
    evicted = np.zeros(TOKENS, np.int32)
    truth = None
    if replay is not None:
        queries, keys, values = prompt.exact(0, PROMPT)
        replay.prefill(queries[:, PROMPT - min(PROMPT, replay.r) :], keys, values, engine.kept)
        truth = Slots(replay)
    before = 0
    for index in range(TOKENS):
        at = index % BLOCK
        if at == 0:
            new = source.rows(BLOCK)
            exact = new.exact(0, BLOCK)
        if index % 97 == 5:  # a draft that is rejected
            engine.settle(engine.step(new, (at + 200) % (BLOCK - 3), 3), 0)
        evict = engine.step(new, at, 1)
        slot = int(evict[0, 0])
        if truth is not None and replay is not None:
            slots, scores = truth.arrive(exact[0][:, at], exact[1][0, at], exact[2][0, at])
            lowest, score = scores.min(), scores[slots == slot]
            if len(score) == 0:
                raise AssertionError(f"token {index}: slot {slot} is none of {slots.tolist()}")
            count["evictions"] += 1
            count["of the newest candidate"] += truth.positions[slot] == truth.positions[slots].max()
            if score[0] > lowest:
                count["near-ties excused"] += 1
                if score[0] >= NOTHING and (score[0] - lowest) / score[0] >= TIE:
                    raise AssertionError(f"token {index}: slot {slot} scores {score[0]:.8e}, the lowest {lowest:.8e}")
            if index < WITH_REPLAY:
                gone = int(truth.positions[slot])
                replay.step(*(array[:, at : at + 1] for array in exact), left=[[gone]])
                positions, known = replay.last_candidates[0] or (np.zeros(0), np.zeros(0))
                order = np.argsort(truth.positions[slots])
                np.testing.assert_array_equal(truth.positions[slots][order], positions)
                np.testing.assert_allclose(scores[order], known, rtol=1e-9)
            truth.leave(slot)
        engine.settle(evict, 1)
        evicted[index] = slot
        if index == 1000:
            before = resident()
        if index % 5000 == 0 and (wrong := engine.wrong_slots()):
            raise AssertionError(wrong)
    growth = resident() - before
    count["KiB grown"] = max(count["KiB grown"], growth >> 10)
    if growth > GROWTH:
        raise AssertionError(f"the process grew by {growth} bytes in {TOKENS - 1000} tokens")
    if wrong := engine.wrong_slots():
        raise AssertionError(wrong)
    return evicted


def endless(case: tuple[str, str, int]) -> tuple[tuple[str, str, int], Counter[str], str]:
    """A task of check.py: what was counted, and what was wrong."""
    count: Counter[str] = Counter(tokens=TOKENS)
    try:
        with kvsieve.Plan(case[0], MODEL, budget=BUDGET, decoding=1, **SETTINGS[case[0]]) as plan:
            first = sequence(plan, replay_of(case[0]), count)
            plan.reset()
            again = sequence(plan, None, count)
            if not np.array_equal(first, again):
                raise AssertionError(f"after reset, token {np.flatnonzero(first != again)[0]} differs")
    except Exception:
        return case, count, traceback.format_exc()
    return case, count, ""

"""Float64 truth for decoding-time eviction of one layer: AhaKV (arXiv 2506.03762) and H2O (arXiv 2306.14048).

Written from the formulas alone. State is the full history (every query, key and value row that ever came, and
which positions lived when each row was scored); scores are recomputed from it at every step.
"""
from __future__ import annotations

import math
import sys
from typing import Optional, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Left = Optional[int]


def pooled_norms(values: F64, kappa: int) -> F64:
    """AhaKV gamma: mean over kappa neighbours of ||V||^2, zeros beyond both ends. values (n, Dv) -> (n,)."""
    half, n = kappa // 2, values.shape[0]
    nu = np.pad((values * values).sum(-1), half)
    total = np.zeros(n)
    for d in range(kappa):  # the same order of additions for every j, so equal inputs tie exactly
        total += nu[d:d + n]
    return total / kappa


def group_row(queries: F64, keys: F64, factor: float) -> F64:
    """Mean over the G queries (G, D) of softmax_j(factor * q.k_j); keys (n, D) -> (n,).

    No BLAS here: the reduction runs alike for every key, so duplicate keys tie exactly.
    """
    z = factor * (queries[:, None, :] * keys[None]).sum(-1)
    e = np.exp(z - z.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).mean(0)


def relative(high: float, low: float) -> float:
    """(high - low) / high; 0 when both are 0."""
    return (high - low) / high if high > 0 else 0.0


class Replay:
    """What both methods share: history, living sets, ranking, trim. Subclasses give `_scores`.

    Attributes a test reads (all follow `trim`):
      gaps[step][head]    (second - lowest) / second over that step's candidates; inf if nothing due, or no second
      regrets[step][head] (score of the position that did leave - lowest) / it; 0 unless `left` forced another
      prefill_gap[head]   relative gap between the worst kept and the best dropped prompt candidate (inf if none)
      last_candidates[head] = (positions, scores) of the latest eviction (or None), for tests of absolute size
    """

    def __init__(self, hq: int, h: int, d: int, dv: int, budget: int, recent: int, rows: int,
                 scale: Optional[float], sinks: int = 0) -> None:
        if hq % h or budget < recent + sinks:
            raise ValueError("Hq must be a multiple of H; C >= recent + sinks")
        self.hq, self.h, self.g, self.d, self.dv = hq, h, hq // h, d, dv
        self.c, self.recent, self.sinks = budget, recent, sinks  # recent: how many last positions are protected
        self.r = rows  # how many last rows count
        self.s = 1 / math.sqrt(d) if scale is None else scale

    def _scores(self, head: int, positions: I64) -> F64:
        """Scores of living positions, now that the row of the last token is in `seen`."""
        raise NotImplementedError

    def _settled(self) -> None:
        """Called after the prompt and after each decoded token."""

    @property
    def tokens(self) -> int:
        """Tokens seen (logical length)."""
        return self.k.shape[1]

    def living(self, head: int) -> list[int]:
        """Positions living now, ascending."""
        return self.alive[head][-1].tolist()

    def _rows(self, array: ArrayLike, shape: tuple[int, ...], what: str) -> F64:
        out = np.array(array, dtype=np.float64)
        if out.shape != shape or not np.isfinite(out).all():
            raise ValueError(f"{what}: shape {out.shape}, want {shape}, all finite")
        return out

    def row(self, head: int, position: int, gain: float = 1.0) -> tuple[I64, F64]:
        """The score row of one absolute position over what lived when it was scored."""
        lived, queries = self.seen[head][position - self.first], self.q[head * self.g:(head + 1) * self.g]
        return lived, group_row(queries[:, position - self.first], self.k[head, lived], gain * self.s)

    def prefill(self, queries: ArrayLike, keys: ArrayLike, values: ArrayLike,
                kept: Optional[Sequence[Sequence[int]]] = None) -> list[list[int]]:
        """The prompt; returns this replay's kept positions per head. `kept`: go on with these instead."""
        t = np.shape(keys)[1]
        rows = min(self.r, t)
        self.k = self._rows(keys, (self.h, t, self.d), "keys")
        self.v = self._rows(values, (self.h, t, self.dv), "values")
        self.q = self._rows(queries, (self.hq, rows, self.d), "queries")
        self.prompt, self.first = t, t - rows  # first: the position of the oldest query row given
        # seen[head][position - first]: the positions that lived when that row was scored
        self.seen: list[list[I64]] = [[np.arange(i + 1) for i in range(self.first, t)] for _ in range(self.h)]
        # alive[head][n]: living positions after n decoded tokens
        self.alive: list[list[I64]] = [[] for _ in range(self.h)]
        # sums[head] (H2O only): S by position after the prompt and after each decoded token
        self.sums: list[list[F64]] = [[] for _ in range(self.h)]
        self.gaps: list[list[float]] = []
        self.regrets: list[list[float]] = []
        self.last_candidates: list[Optional[tuple[I64, F64]]] = [None] * self.h
        chosen = [self._choose_prompt(head, t) for head in range(self.h)]
        self.prefill_gap = [gap for _, gap in chosen]
        for head, (mine, _) in enumerate(chosen):
            use = mine if kept is None else np.array(kept[head], dtype=np.int64)
            must = set(range(t)) if t <= self.c else {*range(self.sinks), *range(t - self.recent, t)}
            if len(use) != len(mine) or (np.diff(use) <= 0).any() or not must <= set(use.tolist()):
                raise ValueError(f"head {head}: forced prompt choice breaks the method: {use.tolist()}")
            self.alive[head].append(use)
        self._settled()
        return [mine.tolist() for mine, _ in chosen]

    def _choose_prompt(self, head: int, t: int) -> tuple[I64, float]:
        everything = np.arange(t)
        if t <= self.c:
            return everything, math.inf
        tail = t - self.recent
        cand = everything[self.sinks:tail]
        score = self._scores(head, cand)
        n = self.c - self.recent - self.sinks
        order = np.lexsort((cand, -score))  # best first; of equals the lower position first
        gap = relative(score[order[n - 1]], score[order[n]]) if 0 < n < len(cand) else math.inf
        return np.sort(np.concatenate([everything[:self.sinks], cand[order[:n]], everything[tail:]])), gap

    def step(self, query: ArrayLike, keys_new: ArrayLike, values_new: ArrayLike,
             left: Optional[Sequence[Sequence[Left]]] = None) -> list[list[Left]]:
        """m tokens, one after the other; per head the m positions (or None) that this replay drops.

        `left` (H x m, None or -1: none): what the library dropped; the replay still returns its own choice at
        each token, but goes on with the library's. A forced drop that breaks the method (protected, dead, or
        where none / one is due) raises ValueError, and the replay is then spent.
        """
        m = np.shape(keys_new)[1]
        q = self._rows(query, (self.hq, m, self.d), "query")
        k = self._rows(keys_new, (self.h, m, self.d), "keys_new")
        v = self._rows(values_new, (self.h, m, self.dv), "values_new")
        out: list[list[Left]] = [[] for _ in range(self.h)]
        for j in range(m):
            self.q = np.concatenate([self.q, q[:, j:j + 1]], 1)
            self.k = np.concatenate([self.k, k[:, j:j + 1]], 1)
            self.v = np.concatenate([self.v, v[:, j:j + 1]], 1)
            self.gaps.append([]), self.regrets.append([])
            for head in range(self.h):
                out[head].append(self._one(head, () if left is None else (left[head][j],)))
            self._settled()
        return out

    def _one(self, head: int, force: tuple[Left, ...]) -> Left:
        t = self.tokens - 1
        lives = np.append(self.alive[head][-1], t)
        self.seen[head].append(lives)
        cand = lives[(lives <= t - self.recent) & (lives >= self.sinks)] if len(lives) > self.c else lives[:0]
        mine: Left = None
        gap, regret, info = math.inf, 0.0, None
        if len(cand):
            score = self._scores(head, cand)
            order = np.lexsort((-cand, score))  # lowest first; of equals the higher position first
            mine, info = int(cand[order[0]]), (cand, score)
            if len(cand) > 1:
                gap = relative(score[order[1]], score[order[0]])
        gone = mine
        if force:
            gone = None if force[0] is None or force[0] < 0 else int(force[0])
            if (gone is None) != (mine is None) or (gone is not None and gone not in cand):
                raise ValueError(f"head {head}, token {t}: forced drop {gone}, candidates {cand.tolist()}")
            if gone is not None:
                regret = relative(float(score[cand == gone][0]), score[order[0]])
        self.alive[head].append(lives if gone is None else lives[lives != gone])
        self.gaps[-1].append(float(gap)), self.regrets[-1].append(float(regret))
        self.last_candidates[head] = info
        return mine

    def trim(self, k: int) -> None:
        """Undo the last k decoded tokens as if they never came (positions they drove out live again)."""
        if not 0 <= k <= self.tokens - self.prompt:
            raise ValueError("only decoded tokens can be trimmed")
        self.q, self.k, self.v = (x[:, :x.shape[1] - k] for x in (self.q, self.k, self.v))
        for entries in (*self.seen, *self.alive, *filter(None, self.sums), self.gaps, self.regrets):
            del entries[len(entries) - k:]
        self.last_candidates = [None] * self.h


class AhaReplay(Replay):
    """AhaKV (arXiv 2506.03762): the last r rows, step-gain softmax, pooled value norms; see A1-A11."""

    def __init__(self, hq: int, h: int, d: int, dv: int, budget: int, window: int = 32, pool_kernel: int = 7,
                 gain_floor: float = 0.0, sinks: int = 0, scale: Optional[float] = None) -> None:
        super().__init__(hq, h, d, dv, budget, window, window, scale, sinks)
        if pool_kernel % 2 == 0 or window < max(1, pool_kernel // 2):
            raise ValueError("odd kernel, r >= max(1, kernel/2)")
        self.kappa, self.floor = pool_kernel, gain_floor

    def gain(self, i: int) -> float:
        """g = sqrt(2 ln(i/C)), 0 while i <= C, never below the floor; i tokens seen, the row's own included."""
        return max(math.sqrt(2 * math.log(i / self.c)) if i > self.c else 0.0, self.floor)

    def _scores(self, head: int, positions: I64) -> F64:
        n = self.tokens
        total = np.zeros(n)
        for i in range(max(self.first, n - self.r), n):
            lived, p = self.row(head, i, self.gain(i + 1))
            total[lived] += p
        return (pooled_norms(self.v[head], self.kappa) * total)[positions]


class H2OReplay(Replay):
    """H2O (arXiv 2306.14048): column sums over every row; kept as float64 sums, proven against all rows."""

    def __init__(self, hq: int, h: int, d: int, dv: int, budget: int, recent_ratio: float = 0.5,
                 scale: Optional[float] = None, check_every: int = 50) -> None:
        super().__init__(hq, h, d, dv, budget, max(1, math.floor(budget * recent_ratio)), sys.maxsize, scale)
        self.check_every = check_every

    def full(self, head: int) -> F64:
        """S by position from every row that ever came (dense, masked by what lived then)."""
        n, total = self.tokens, np.zeros(self.tokens)
        for a in range(0, n, 256):
            b = min(n, a + 256)
            lived = np.zeros((b - a, n), dtype=bool)
            for i in range(a, b):
                lived[i - a, self.seen[head][i]] = True
            z = np.where(lived, self.s * (self.q[head * self.g:(head + 1) * self.g, a:b] @ self.k[head].T), -np.inf)
            e = np.exp(z - z.max(-1, keepdims=True))
            total += (e / e.sum(-1, keepdims=True)).sum(1).mean(0)
        return total

    def _scores(self, head: int, positions: I64) -> F64:
        old = self.sums[head][-1] if self.sums[head] else np.zeros(0)
        if not self.sums[head] or len(old) < self.tokens:  # the rows not yet in: one, or all the prompt's
            total = np.pad(old, (0, self.tokens - len(old)))
            for i in range(len(old), self.tokens):
                lived, p = self.row(head, i)
                total[lived] += p
            self.sums[head].append(total)
        return self.sums[head][-1][positions]

    def _settled(self) -> None:
        for head in range(self.h):
            self._scores(head, self.alive[head][-1])  # also where nothing was due to leave
            if (self.tokens - self.prompt) % self.check_every == 0:
                np.testing.assert_allclose(self.sums[head][-1], self.full(head), rtol=1e-12, atol=1e-15)

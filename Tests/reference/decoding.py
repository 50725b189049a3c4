"""Which token is evicted while one layer is decoded: what the methods share. Written from the formulas alone.

State is the full history: every query, key and value row so far, and the positions in the cache when each row was scored. A row's
softmax is computed once, when it is first asked for. Every `check_every` tokens all remembered rows are computed again. A position
is alive while it is in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from reference import sequence
from reference.caches import Choose
from reference.ranking import F64, I64
from reference.shares import Parameters

Left = int | None


class Sizes(NamedTuple):
    query_heads: int
    heads: int
    dim: int
    value_dim: int


def group_row(queries: F64, keys: F64, factor: float) -> F64:
    """Mean over the G queries (G, D) of softmax_j(factor * q.k_j); keys (n, D) -> (n,).

    No BLAS here: the reduction runs alike for every key, so duplicate keys tie exactly.
    """
    z = factor * (queries[:, None, :] * keys[None]).sum(-1)
    e = np.exp(z - z.max(-1, keepdims=True))
    mean: F64 = (e / e.sum(-1, keepdims=True)).mean(0)
    return mean


def relative(high: float, low: float) -> float:
    """(high - low) / high; 0 when both are 0."""
    return (high - low) / high if high > 0 else 0.0


class Growing:
    """(heads, n, dim) of float64, to which tokens are added and from which they are taken."""

    def __init__(self, heads: int, dim: int) -> None:
        self.room, self.n = np.zeros((heads, 64, dim)), 0

    def rows(self, array: ArrayLike, tokens: int, what: str) -> F64:
        out = np.array(array, dtype=np.float64)
        shape = (self.room.shape[0], tokens, self.room.shape[2])
        if out.shape != shape or not np.isfinite(out).all():
            raise ValueError(f"{what}: shape {out.shape}, want {shape}, all finite")
        return out

    def append(self, rows: F64) -> None:
        end = self.n + rows.shape[1]
        if end > self.room.shape[1]:
            more = max(end - self.room.shape[1], self.room.shape[1])
            self.room = np.pad(self.room, ((0, 0), (0, more), (0, 0)))
        self.room[:, self.n : end] = rows
        self.n = end

    @property
    def there(self) -> F64:
        return self.room[:, : self.n]


class Replay:
    """History, positions in the cache, ranking, trim. A method's `Decoding` gives begin() and scores().

    Attributes a test reads (all follow `trim`):
      gaps[step][head]    (second - lowest) / second over that step's candidates; inf if nothing due, or no second
      regrets[step][head] (score of the evicted position - lowest) / it; 0 unless `left` forced another
      prompt_gap          the smallest relative gap of the prompt's choice
      last_candidates[head] = (positions, scores) of the latest eviction (or None), for tests of absolute size
    """

    budget: int
    """C, what it was at the prompt's end."""
    recent: int
    """How many of the last positions are never evicted; the most new tokens of one step."""
    sinks = 0
    """How many of the first positions are never evicted."""
    protected: frozenset[int] = frozenset()
    """Positions of the prompt that are never evicted."""

    def __init__(
        self, choose: Choose, sizes: Sizes, p: Parameters, scale: float | None = None, check_every: int = 200
    ) -> None:
        self.choose, self.sizes, self.p, self.check_every = choose, sizes, p, check_every
        self.group = sizes.query_heads // sizes.heads
        self.scale = 1 / math.sqrt(sizes.dim) if scale is None else scale
        self.every = range(sizes.heads)
        self.clear()

    def clear(self) -> None:
        hq, h, d, dv = self.sizes
        self.q, self.k, self.v = Growing(hq, d), Growing(h, d), Growing(h, dv)
        self.seen: list[list[I64]] = [[] for _ in self.every]
        """[head][position]: the positions alive when that row was scored, its own included."""
        self.alive: list[list[I64]] = [[] for _ in self.every]
        """[head][n]: positions alive after n decoded tokens."""
        self.sums: list[list[F64]] = [[] for _ in self.every]
        """[head][n], of a method that adds up rows: over alive[head][0], then over the last of seen[head]."""
        self.made: list[dict[int, F64]] = [{} for _ in self.every]
        """[head][position]: rows that were asked for."""
        self.gaps: list[list[float]] = []
        self.regrets: list[list[float]] = []
        self.last_candidates: list[tuple[I64, F64] | None] = [None for _ in self.every]

    def begin(self) -> None:
        """Sets budget, recent and sinks, after the prompt."""
        raise NotImplementedError

    def held(self) -> int:
        """Protected positions that are no sinks."""
        return sum(position >= self.sinks for position in self.protected)

    def scores(self, head: int) -> F64:
        """Of the positions alive, the newest token among them. Called once a token and head."""
        raise NotImplementedError

    def gain(self, seen: int) -> float:
        """Of the softmax of a token that has seen so many, itself included."""
        return 1.0

    def prompt_over(self, head: int) -> None:
        """The prompt's choice is made."""

    @property
    def tokens(self) -> int:
        """Tokens seen (logical length)."""
        return self.k.n

    def living(self, head: int) -> list[int]:
        """Positions alive now, ascending."""
        alive: list[int] = self.alive[head][-1].tolist()
        return alive

    def fresh_row(self, head: int, position: int) -> F64:
        keys = self.k.there[head, self.seen[head][position]]
        queries = self.q.there[head * self.group : (head + 1) * self.group, position]
        return group_row(queries, keys, self.gain(position + 1) * self.scale)

    def row(self, head: int, position: int) -> F64:
        """The score row of one absolute position over the positions alive then: seen[head][position]."""
        made = self.made[head]
        if position not in made:
            made[position] = self.fresh_row(head, position)
        return made[position]

    def forget_rows(self, before: int) -> None:
        for made in self.made:
            for position in [position for position in made if position < before]:
                del made[position]

    def prefill(
        self, queries: ArrayLike, keys: ArrayLike, values: ArrayLike, kept: Sequence[Sequence[int]] | None = None
    ) -> list[list[int]]:
        """The prompt, queries of all its tokens; this replay's kept positions per head. `kept`: go on with these instead."""
        self.clear()
        t = np.shape(keys)[1]
        given = [("queries", self.q, queries), ("keys", self.k, keys), ("values", self.v, values)]
        for name, target, array in given:
            target.append(target.rows(array, t, name))
        self.begin()
        self.prompt = t
        prompt = sequence.Sequence(self.choose, 1, self.sizes.heads, self.scale, self.p, self.protected)
        prompt.append([self.k.there], [self.v.there])
        mine = prompt.choose([self.q.there])[0]
        self.prompt_gap = prompt.gap
        for head in self.every:
            self.seen[head] = [np.arange(i + 1) for i in range(t)]
            use = np.array(mine[head] if kept is None else kept[head], dtype=np.int64)
            # A share may hold fewer than there are slots: later, protected tokens are no longer recent.
            must = (
                set(range(t))
                if t <= self.budget - self.held()
                else {*range(self.sinks), *self.protected, *range(t - self.recent, t)}
            )
            if len(use) != len(mine[head]) or (np.diff(use) <= 0).any() or not must <= set(use.tolist()):
                raise ValueError(f"head {head}: forced prompt choice breaks the method: {use.tolist()}")
            self.alive[head].append(use)
            self.prompt_over(head)
        return mine

    def step(
        self, query: ArrayLike, keys_new: ArrayLike, values_new: ArrayLike, left: Sequence[Sequence[Left]] | None = None
    ) -> list[list[Left]]:
        """m tokens, one after the other; per head the m positions (or None) that this replay drops.

        `left` (H x m, None or -1: none): what the library dropped; the replay still returns its own choice at
        each token, but goes on with the library's. A forced drop that breaks the method (protected, dead, or
        where none / one is due) raises ValueError, and the replay is then spent.
        """
        m = np.shape(keys_new)[1]
        given = [("query", self.q, query), ("keys_new", self.k, keys_new), ("values_new", self.v, values_new)]
        wide = [target.rows(array, m, name) for name, target, array in given]
        out: list[list[Left]] = [[] for _ in self.every]
        for j in range(m):
            for (_, target, _), rows in zip(given, wide):
                target.append(rows[:, j : j + 1])
            self.gaps.append([])
            self.regrets.append([])
            for head in self.every:
                self.seen[head].append(np.append(self.alive[head][-1], self.tokens - 1))
            for head in self.every:
                out[head].append(self.leaves(head, () if left is None else (left[head][j],)))
            if (self.tokens - self.prompt) % self.check_every == 0:
                self.check()
        return out

    def leaves(self, head: int, force: tuple[Left, ...]) -> Left:
        t = self.tokens - 1
        lives = self.seen[head][t]
        scores = self.scores(head)
        due = (lives <= t - self.recent) & (lives >= self.sinks) & (len(lives) > self.budget)
        due &= ~np.isin(lives, list(self.protected))
        candidates = lives[due]
        mine: Left = None
        gap, regret, told = math.inf, 0.0, None
        if len(candidates):
            score = scores[due]
            order = np.lexsort((-candidates, score))  # lowest first; of equals the higher position first
            mine, told = int(candidates[order[0]]), (candidates, score)
            if len(candidates) > 1:
                gap = relative(score[order[1]], score[order[0]])
        gone = mine
        if force:
            gone = None if force[0] is None or force[0] < 0 else int(force[0])
            if (gone is None) != (mine is None) or (gone is not None and gone not in candidates):
                raise ValueError(f"head {head}, token {t}: forced drop {gone}, candidates {candidates.tolist()}")
            if gone is not None:
                regret = relative(float(score[candidates == gone][0]), score[order[0]])
        self.alive[head].append(lives if gone is None else lives[lives != gone])
        self.gaps[-1].append(float(gap))
        self.regrets[-1].append(float(regret))
        self.last_candidates[head] = told
        return mine

    def trim(self, k: int) -> None:
        """Undo the last k decoded tokens, as if they had not been decoded (positions evicted for them are alive again)."""
        if not 0 <= k <= self.tokens - self.prompt:
            raise ValueError("only decoded tokens can be trimmed")
        for each in (self.q, self.k, self.v):
            each.n -= k
        histories: list[list[Any]] = [*self.seen, *self.alive, *filter(None, self.sums), self.gaps, self.regrets]
        for entries in histories:
            del entries[len(entries) - k :]
        for made in self.made:
            for position in [position for position in made if position >= self.tokens]:
                del made[position]
        self.last_candidates = [None for _ in self.every]

    def check(self) -> None:
        """What is remembered is what the history says."""
        for head, made in enumerate(self.made):
            for position, row in made.items():
                np.testing.assert_array_equal(row, self.fresh_row(head, position))

"""Follow-ups: three questions in turn over one text; after each turn its tokens are compressed with the rest by Plan.extend.

Here: caches that grow and are brought back to their share, one conversation through all settings. Not here: the words
(tasks/turns.py). Letters: B variants, S new tokens, P tokens since the last compression, H key/value heads, E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from choices import observe, or_smallest, shape
from held import Held
from judge import by_token, log_probabilities
from later_records import Later, Stage, judged_row
from llama import Llama, Prefix
from records import Pair
from setting import FULL, Setting
from subjects import subject
from tasks import turns
from tasks.turns import Turn

import kvsieve


class Growing:
    """One variant: the caches of all layers, and, unless it is the whole cache, a plan that compresses them again and again."""

    def __init__(self, llama: Llama, prefix: Prefix, plan: kvsieve.Plan | None, room: int) -> None:
        """room: tokens that are appended between two compressions, at most."""
        self.llama, self.plan, self.room, self.seen = llama, plan, room, prefix.tokens
        self.layers: list[Held] = []
        self.queries: list[list[np.ndarray]] = [[] for _ in range(llama.layers)]  # since the last compression
        for layer in range(llama.layers):
            self.layers.append(self._compacted(layer, prefix.keys[layer], prefix.values[layer]))

    @property
    def held(self) -> float:
        """Rows of all tokens seen, over layers and heads."""
        return float(np.mean([held.counts.mean() for held in self.layers])) / self.seen

    def take(self, layer: int, queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        """New tokens (Hq, S, D) (H, S, D) (H, S, D) of a layer: what attention makes of them, (S, Hq * D)."""
        if layer == 0:
            self.seen += queries.shape[1]
        self.queries[layer].append(queries)
        self.layers[layer].append(keys, values)
        return self.layers[layer].attend(queries * self.llama.scale)

    def compress(self) -> None:
        """Back to the share, of all tokens seen. The last new queries choose."""
        if self.plan is None:
            return
        new = [np.concatenate(queries, axis=1) for queries in self.queries]  # (Hq, P, D)
        self.plan.extend(new[0].shape[1])
        for layer, held in enumerate(self.layers):
            self.plan.observe(layer, new[layer], *held.rows())
        self.plan.finish()
        self.layers = [self._compacted(layer, *held.rows()) for layer, held in enumerate(self.layers)]
        self.queries = [[] for _ in self.queries]

    def _compacted(self, layer: int, keys: np.ndarray, values: np.ndarray) -> Held:
        """The kept rows of arrays (H, n, D), with room behind them."""
        heads, rows, dim = keys.shape
        kept = self.plan.kept(layer) if self.plan else None
        held = Held(heads, (kept.longest if kept else rows) + self.room, dim)
        for target, source in ((held.keys, keys), (held.values, values)):
            if self.plan:
                self.plan.gather(layer, source, out=target)
            else:
                target[:, :rows] = source
        held.counts[:] = kept.counts if kept else rows
        return held


def examine(stages: Sequence[Stage], wanted: Sequence[Pair]) -> list[Later]:
    """A row for each turn of the whole cache, and of each setting and share, of each stage."""
    return [row for stage in stages for row in _examined(stage, wanted)]


def _examined(stage: Stage, wanted: Sequence[Pair]) -> list[Later]:
    model = subject(stage.model)
    conversation = turns.make(model.words, stage.length, stage.seed, stage.task)[: stage.more]
    prefix = model.llama.prefill(conversation[0].lead)
    room = sum(len(turn.asked) + len(turn.answer) + len(turn.lead) for turn in conversation) - prefix.tokens
    variants = [Growing(model.llama, prefix, None, room)]
    variants += [Growing(model.llama, prefix, begun(model.llama, prefix, *pair), room) for pair in wanted]
    about = [(FULL, "-", 1.0), *((setting.name, setting.digest, share) for setting, share in wanted)]
    rows = []
    for number, turn in enumerate(conversation):
        if number > 0:
            run(model.llama, variants, turn.lead)
            for variant in variants:
                variant.compress()
        held = [variant.held for variant in variants]
        said = say(model.llama, variants, turn)
        whole = log_probabilities(said[0])
        for those, share, logits in zip(about, held, said):
            rows.append(judged_row(stage, f"turn {number + 1}", *those, share, by_token(logits, turn.answer, whole)))
    return rows


def begun(llama: Llama, prefix: Prefix, setting: Setting, share: float) -> kvsieve.Plan:
    """A plan that has seen the prompt and chosen."""

    def plan(share: float) -> kvsieve.Plan:
        made = kvsieve.Plan(setting.method, shape(llama), **setting.parameters, ratio=share)
        observe(made, prefix)
        return made

    return or_smallest(plan, share)


def run(llama: Llama, variants: Sequence[Growing], tokens: Sequence[int]) -> np.ndarray:
    """Tokens (S,) appended to every variant: (B, S, E), normalized."""

    def attend(layer: int, queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        each = zip(variants, queries, keys, values)
        return np.concatenate([variant.take(layer, *tensors) for variant, *tensors in each])

    return llama.run(np.tile(tokens, (len(variants), 1)), variants[0].seen, attend)


def say(llama: Llama, variants: Sequence[Growing], turn: Turn) -> np.ndarray:
    """What every variant says of a turn's answer, teacher-forced: logits (B, A, V)."""
    hidden = run(llama, variants, [*turn.asked, *turn.answer[:-1]])
    return llama.logits(hidden[:, len(turn.asked) - 1 :])

"""What is said of an answer: right, digits right, nll and kl of a variant against the whole cache.

Here: numbers from logits. Not here: how the logits come about (llama.py), what is done with the numbers (tables.py).
Letters: A answer tokens, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Judgement:
    right: bool
    """Every token of the answer is the likeliest where it is due (teacher-forced)."""
    digits: int
    """How many are."""
    nll: float
    """Mean over the answer's tokens, nats."""
    kl: float
    """Mean divergence of the next token's distribution from the whole cache's, nats."""


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """(A, V) -> (A, V), sums in double."""
    shifted: np.ndarray = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)
    return shifted


def judge(logits: np.ndarray, answer: list[int], whole: np.ndarray) -> Judgement:
    """logits (A, V) of a variant; whole (A, V) log-probabilities with the whole cache."""
    each = by_token(logits, answer, whole)
    hits, nll, kl = each.hits, each.nll.mean(dtype=np.float64), each.kl.mean()
    return Judgement(bool(hits.all()), int(hits.sum()), float(nll), float(kl))


@dataclass(frozen=True)
class Tokens:
    """Of each token of an answer, (A,)."""

    hits: np.ndarray
    """It is the likeliest."""
    agree: np.ndarray
    """The likeliest is the whole cache's likeliest."""
    nll: np.ndarray
    kl: np.ndarray

    def __getitem__(self, part: slice) -> Tokens:
        return Tokens(self.hits[part], self.agree[part], self.nll[part], self.kl[part])

    @staticmethod
    def joined(parts: Sequence[Tokens]) -> Tokens:
        """Of the tokens of all parts, in order."""
        names = ("hits", "agree", "nll", "kl")
        return Tokens(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def by_token(logits: np.ndarray, answer: Sequence[int], whole: np.ndarray) -> Tokens:
    """As judge()."""
    said, likeliest = log_probabilities(logits), logits.argmax(axis=1)
    nll = -said[np.arange(len(answer)), answer]
    kl = np.einsum("av,av->a", np.exp(whole), whole - said, dtype=np.float64)
    return Tokens(likeliest == np.asarray(answer), likeliest == whole.argmax(axis=1), nll, kl)

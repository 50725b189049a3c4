"""What is said of an answer: right, digits right, nll and kl of a variant against the whole cache.

Here: numbers from logits. Not here: how the logits come about (llama.py), what is done with the numbers (tables.py).
Letters: A answer tokens, V words of the vocabulary.
"""

from __future__ import annotations

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
    said = log_probabilities(logits)
    hits = logits.argmax(axis=1) == answer
    nll = -said[np.arange(len(answer)), answer].mean(dtype=np.float64)
    kl = np.einsum("av,av->", np.exp(whole), whole - said, dtype=np.float64) / len(answer)
    return Judgement(bool(hits.all()), int(hits.sum()), float(nll), float(kl))

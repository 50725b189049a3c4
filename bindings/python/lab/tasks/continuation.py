"""Continuation: a real text goes on. Its first `length` tokens are compressed; the next 48 are judged by nll and kl.

The text is a topic of Python's language reference, code and tables included, from some paragraph on. No chat, no question.
"""

from __future__ import annotations

import numpy as np
from language import Language

from tasks.prompt import NO_QUERY, Prompt, Task

JUDGED = 48
APART = JUDGED  # tokens between two starts in one topic: no token is judged twice


def excerpt(language: Language, length: int, seed: int) -> list[int]:
    """`length` tokens of one topic, from the start of a paragraph; a different place for each seed."""
    places = []
    for number, paragraphs in enumerate(language.passages):
        starts = np.append(0, np.cumsum([len(paragraph) for paragraph in paragraphs]))
        last = -APART
        for start in starts[starts + length <= starts[-1]]:
            if start - last >= APART:
                places.append((number, int(start)))
                last = start
    if seed >= len(places):
        raise ValueError(f"prompt {seed} of {length} tokens is asked for: the texts have {len(places)}")
    number, start = places[np.random.default_rng([3, length]).permutation(len(places))[seed]]
    text = [token for paragraph in language.passages[number] for token in paragraph]
    return text[start : start + length]


def make(language: Language, length: int, seed: int, query: str) -> Prompt:
    """Prompt number `seed`."""
    text = excerpt(language, length + 1 + JUDGED, seed)
    return Prompt(text[:length], text[length : length + 1], text[length + 1 :])


TASK = Task("continuation", make, (NO_QUERY,), exact=False)

"""Needle: one sentence with a five-digit code in prose about something else; the code is asked for.

Judged: each digit by the teacher-forced argmax (right: all five), and its nll. Depth is the seed's last digit, 0.05 to 0.95.
"""

from __future__ import annotations

import numpy as np
from language import Language

from tasks.filler import NAMES, asked, code, strewn
from tasks.prompt import Prompt, Task

AROUND = 60  # tokens of the chat template, the question and the answer, so that `length` is about the whole


def depth(seed: int) -> float:
    """Where the fact of prompt `seed` stands, 0 begin, 1 end."""
    return (seed % 10) / 10 + 0.05


def make(language: Language, length: int, seed: int, query: str) -> Prompt:
    """Prompt number `seed`; seen and unseen have the same words."""
    random = np.random.default_rng([1, length, seed])
    name, answer = str(random.choice(NAMES)), code(random)
    stem = f"The secret code of {name} is "
    text = strewn(language, random, [f"{stem}{answer}."], [depth(seed)], length - AROUND)
    return asked(language, text, f"What is the secret code of {name}?", query, stem, answer)


TASK = Task("needle", make)

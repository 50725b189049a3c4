"""Four keys: four sentences as the needle's, of four names; one of them is asked for.

A cache that keeps what looks like a code keeps four of them: the question must tell which one counts.
"""

from __future__ import annotations

import numpy as np
from language import Language

from tasks.filler import NAMES, asked, code, strewn
from tasks.needle import AROUND
from tasks.prompt import Prompt, Task

KEYS = 4


def make(language: Language, length: int, seed: int, query: str) -> Prompt:
    """Prompt number `seed`; one key in each quarter of the text, which one is asked goes round."""
    random = np.random.default_rng([2, length, seed])
    names = [str(name) for name in random.choice(NAMES, KEYS, replace=False)]
    codes = [code(random) for _ in names]
    facts = [f"The secret code of {name} is {number}." for name, number in zip(names, codes)]
    depths = [float((quarter + random.random()) / KEYS) for quarter in range(KEYS)]
    text = strewn(language, random, facts, depths, length - AROUND)
    one = seed % KEYS
    stem = f"The secret code of {names[one]} is "
    return asked(language, text, f"What is the secret code of {names[one]}?", query, stem, codes[one])


TASK = Task("four_keys", make)

"""Turns: prose with three codes of three names, and a question about one of them in each of three turns of a chat.

Here: the tokens, by what happens to them. Not here: caches that are compressed between them (followups.py). One code stands in
each third of the prose; which is asked first goes round at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from language import ASSISTANT_BEGINS, USER_BEGINS, Language

from tasks.filler import NAMES, code, strewn
from tasks.needle import AROUND
from tasks.prompt import SEEN

TURNS = 3
USER_AGAIN = "<|im_start|>user\n"


@dataclass(frozen=True)
class Turn:
    """Token ids in order: lead, asked, answer."""

    lead: list[int]
    """Run or prefilled; then the cache is compressed."""
    asked: list[int]
    """Run over the compressed cache, not judged. At least one token."""
    answer: list[int]
    """Run likewise, teacher-forced, and judged. Its last token is the first of the next lead."""


def make(language: Language, length: int, seed: int, query: str) -> list[Turn]:
    """Conversation number `seed`. Seen: a lead ends with its question. Unseen: the question comes after the compression."""
    random = np.random.default_rng([8, length, seed])
    names = [str(name) for name in random.choice(NAMES, TURNS, replace=False)]
    codes = [code(random) for _ in names]
    facts = [f"The secret code of {name} is {number}." for name, number in zip(names, codes)]
    depths = [float((third + random.random()) / TURNS) for third in range(TURNS)]
    before = language.encode(USER_BEGINS + strewn(language, random, facts, depths, length - AROUND))
    again, turns = "\n\n", []
    for one in random.permutation(TURNS):
        question = language.encode(f"{again}What is the secret code of {names[one]}?{ASSISTANT_BEGINS}")
        stem, answer = language.encode(f"The secret code of {names[one]} is "), language.encode(codes[one])
        turns.append(Turn(before + question, stem, answer) if query == SEEN else Turn(before, question + stem, answer))
        before, again = [answer[-1], *language.encode(".<|im_end|>\n")], USER_AGAIN
    return turns

"""Long text: a topic of Python's language reference, with one fact among its first paragraphs that is asked for at the end.

Here: the tokens, in four parts. Not here: what is done between them (decoding.py). Other than continuation.py's, texts do not
overlap: each is another topic, from its beginning. The fact stands in the first half of the prompt, at depths 0.05 to 0.45.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from language import ASSISTANT_BEGINS, USER_BEGINS, Language

from tasks.filler import NAMES, code


@dataclass(frozen=True)
class LongText:
    prompt: list[int]
    """Prefilled; the fact is in it."""
    text: list[int]
    """How the topic goes on."""
    question: list[int]
    """The end of the user's turn, and how the assistant begins."""
    answer: list[int]


def make(language: Language, length: int, more: int, seed: int) -> LongText:
    """Number `seed`: a prompt of `length` tokens, then a text of `more`."""
    random = np.random.default_rng([6, length, seed])
    name, answer = str(random.choice(NAMES)), code(random)
    begins, fact = language.encode(USER_BEGINS), language.encode(f"The secret code of {name} is {answer}.\n\n")
    room = length - len(begins) - len(fact)
    topic = _topic(language, room + more, seed)
    ends = np.cumsum([0, *(len(paragraph) for paragraph in topic)])
    place = int(ends[np.abs(ends - (seed % 5 + 0.5) / 10 * length).argmin()])
    text = [token for paragraph in topic for token in paragraph][: room + more]
    question = language.encode(f"\n\nWhat is the secret code of {name}?{ASSISTANT_BEGINS}")
    question += language.encode(f"The secret code of {name} is ")
    whole = [*begins, *text[:place], *fact, *text[place:]]
    return LongText(whole[:length], whole[length:], question, language.encode(answer))


def _topic(language: Language, length: int, seed: int) -> list[list[int]]:
    long = [topic for topic in language.passages if sum(map(len, topic)) >= length]
    if seed >= len(long):
        raise ValueError(f"text {seed} of {length} tokens is asked for: {len(long)} topics are so long")
    return long[np.random.default_rng([7, length]).permutation(len(long))[seed]]

"""Few-shot: words with the group that they belong to, example after example; of one more word the group is asked.

Groups bear arbitrary words as names, drawn anew for each prompt: only the examples say which name means fruit and which metal.
The asked word is among no examples. Judged: the name's nll, and whether it is the likeliest.
"""

from __future__ import annotations

import numpy as np
from language import Language

from tasks.prompt import SEEN, Prompt, Task

GROUPS = [
    "lion tiger dog cat horse cow sheep wolf rabbit mouse elephant monkey zebra bear deer goat pig camel",
    "apple banana cherry grape lemon mango melon orange peach pear plum kiwi lime papaya fig apricot",
    "red blue green yellow purple brown black white pink gray crimson violet turquoise beige",
    "France Spain Italy Germany Poland Norway Sweden Brazil Peru Chile Egypt Kenya Japan China India Canada",
    "hammer saw drill wrench screwdriver pliers chisel axe shovel rake ladder file",
    "iron copper silver gold zinc tin lead nickel aluminum titanium platinum steel",
    "doctor teacher lawyer nurse farmer baker pilot plumber engineer carpenter painter soldier",
    "water milk juice coffee tea beer wine soda lemonade cocoa whiskey",
]
NAMES = ["alpha", "seven", "north", "river", "paper", "stone"]
"""One token each, after a blank."""
CHOSEN = 3  # groups of a prompt


def make(language: Language, length: int, seed: int, query: str) -> Prompt:
    """Prompt number `seed`. The question is the asked word; unseen, it comes after the compression."""
    random = np.random.default_rng([5, length, seed])
    groups = random.choice(len(GROUPS), CHOSEN, replace=False)
    names = random.choice(NAMES, CHOSEN, replace=False)
    pairs = [(word, str(name)) for group, name in zip(groups, names) for word in GROUPS[group].split()]
    asked, answer = pairs.pop(int(random.integers(len(pairs))))
    question = language.encode(f"Word: {asked}\nGroup:")
    context: list[int] = []
    while True:  # once round all examples, then again in another order
        for word, name in random.permutation(pairs):
            example = language.encode(f"Word: {word}\nGroup: {name}\n\n")
            if len(context) + len(example) + len(question) > length:
                return _prompt(context, question, language.encode(f" {answer}"), query)
            context += example


def _prompt(context: list[int], question: list[int], answer: list[int], query: str) -> Prompt:
    if query == SEEN:  # a stem has at least one token
        return Prompt(context + question[:-1], question[-1:], answer)
    return Prompt(context, question, answer)


TASK = Task("few_shot", make)

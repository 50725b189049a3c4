"""Prose around facts: paragraphs in a random order up to a length, facts between sentences at given depths.

Here: the strewing and the two ends of a chat turn. Not here: which facts, which question.
"""

from __future__ import annotations

import numpy as np
from language import ASSISTANT_BEGINS, USER_BEGINS, Language

from tasks.prompt import SEEN, Prompt

NAMES = [
    "Alice",
    "Bruno",
    "Carla",
    "David",
    "Elena",
    "Frank",
    "Greta",
    "Hassan",
    "Irene",
    "Jonas",
    "Karin",
    "Louis",
    "Maria",
    "Nadia",
    "Oscar",
    "Paula",
    "Quentin",
    "Rosa",
    "Stefan",
    "Tanya",
    "Ursula",
    "Victor",
    "Wanda",
    "Xavier",
    "Yusuf",
    "Zoe",
]
DIGITS = 5


def code(random: np.random.Generator) -> str:
    """Five digits, the first not 0."""
    return str(random.integers(10 ** (DIGITS - 1), 10**DIGITS))


def strewn(language: Language, random: np.random.Generator, facts: list[str], depths: list[float], room: int) -> str:
    """About `room` tokens of prose with fact i at depth i (0 begin, 1 end), each between two sentences."""
    order = random.permutation(len(language.sentences))
    left = room - sum(language.length(f" {fact}") for fact in facts)
    pieces: list[tuple[bool, str]] = []  # whether a paragraph begins, and the sentence
    for number in order:
        for place, sentence in enumerate(language.sentences[number]):
            cost = language.length(sentence if place == 0 else f" {sentence}") + (place == 0)
            if cost > left:
                return _joined(language, pieces, facts, depths)
            pieces.append((place == 0, sentence))
            left -= cost
    raise ValueError(f"{room} tokens are asked for: there is not so much prose")


def _joined(language: Language, pieces: list[tuple[bool, str]], facts: list[str], depths: list[float]) -> str:
    ends = np.cumsum([language.length(sentence) for _, sentence in pieces])
    text, done = "", 0
    for depth, fact in sorted(zip(depths, facts)):
        place = int(np.abs(np.append(0, ends) - depth * ends[-1]).argmin())
        text += _text(pieces[done:place]) + f" {fact}"
        done = place
    return (text + _text(pieces[done:])).strip()


def _text(pieces: list[tuple[bool, str]]) -> str:
    return "".join(("\n\n" if begins else " ") + sentence for begins, sentence in pieces)


def asked(language: Language, text: str, question: str, query: str, stem: str, answer: str, own: int = 0) -> Prompt:
    """A user's turn of a text and a question about it, and how the assistant begins; compressed as `query` says."""
    before, after = language.encode(USER_BEGINS + text), language.encode(f"\n\n{question}{ASSISTANT_BEGINS}")
    stem_ids, answer_ids = language.encode(stem), language.encode(answer)
    if query != SEEN:
        return Prompt(before, after + stem_ids, answer_ids, own)
    if stem_ids:
        return Prompt(before + after, stem_ids, answer_ids, own)
    return Prompt(before + after[:-1], after[-1:], answer_ids, own)  # a stem has at least one token

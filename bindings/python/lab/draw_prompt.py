"""What each method keeps of one real prompt: a needle prompt of SmolLM2, read, compressed and answered.

Here: the prompt, the choices, the answers, and two pictures of them by kvsieve.plot. Not here: results of many prompts.
Letters: L layers, H key/value heads, T tokens of the prompt.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from choices import Choice, choose
from judge import judge, log_probabilities
from language import Language
from llama import Kept
from setting import Setting
from subjects import subject
from tasks import SEEN, TASKS

import kvsieve
from kvsieve import plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AROUND = 26
"""Tokens before and behind the fact that are shown as text."""


@dataclass(frozen=True)
class Read:
    """One prompt and what settings keep of it."""

    words: list[str]
    fact: tuple[int, int]
    """Positions of the sentence that has the code."""
    kept: dict[str, list[kvsieve.Kept]]
    """By setting."""
    digits: dict[str, int]
    """Of the five of the code, how many are the likeliest token when they are due; "full" is the whole cache."""


def read(settings: Sequence[Setting], share: float, length: int, seed: int) -> Read:
    """Needle prompt number `seed` of about `length` tokens, its question at the end, through every setting."""
    model = subject("smollm2")
    prompt = TASKS["needle"].make(model.words, length, seed, SEEN)
    prefix = model.llama.prefill(prompt.context)
    choices: list[Choice | None] = [None, *(choose(setting, model.llama, prefix, share) for setting in settings)]
    fed = [*prompt.stem, *prompt.answer[:-1]]
    suffix = model.llama.suffix(prefix, [choice.kept if choice else None for choice in choices], fed)
    digits = {}
    for name, hidden in zip(["full", *(setting.name for setting in settings)], suffix.hidden):
        logits = model.llama.logits(hidden[len(prompt.stem) - 1 :])
        digits[name] = judge(logits, prompt.answer, log_probabilities(logits)).digits
    words = texts(model.words, prompt.context)
    fact = model.words.decode(prompt.stem) + model.words.decode(prompt.answer)
    kept = {
        setting.name: as_layers(choice.kept, prefix.tokens) for setting, choice in zip(settings, choices[1:]) if choice
    }
    return Read(words, span(words, fact), kept, digits)


def kept_picture(one: Read, settings: Sequence[str], *, words: bool) -> Figure:
    """Positions by setting; with `words` the text around the fact below."""
    first, end = one.fact
    begin = max(first - AROUND, 0)
    while begin > 0 and not one.words[begin][:1].isspace():  # a text begins with a whole word
        begin -= 1
    around = (begin, min(end + AROUND, len(one.words)))
    named = {f"{name}: {one.digits[name]} of 5 digits right": one.kept[name] for name in settings}
    mark = {f"\u201c{''.join(one.words[first:end]).strip()}\u201d": one.fact}
    return plot.kept(named, one.words if words else None, passage=around, marks=mark)


def rows_picture(one: Read, settings: Sequence[str], share: float) -> Figure:
    """Rows by layer and head of `settings`."""
    return plot.rows({name: one.kept[name] for name in settings}, budget=int(share * len(one.words)))


def as_layers(kept: Kept, tokens: int) -> list[kvsieve.Kept]:
    """The lab's positions by layer and head as the package has them."""
    layers = []
    for heads in kept:
        positions = np.concatenate(heads).astype(np.int32)
        offsets = np.array([0, *itertools.accumulate(len(head) for head in heads)], np.int64)
        layers.append(kvsieve.Kept(offsets, positions, positions, tokens))
    return layers


def texts(language: Language, ids: Sequence[int]) -> list[str]:
    """The text of each token. Bytes of one character in several tokens: the last has it, the others are empty."""
    found: list[str] = []
    waiting: list[int] = []
    for token in ids:
        waiting.append(token)
        text = language.decode(waiting)
        if text.endswith("\ufffd"):
            found.append("")
        else:
            found.append(text)
            waiting = []
    return found


def span(words: Sequence[str], text: str) -> tuple[int, int]:
    """The positions whose texts hold `text`, which stands once among them."""
    ends = np.cumsum([len(word) for word in words])
    place = "".join(words).index(text)
    first, last = np.searchsorted(ends, [place, place + len(text) - 1], side="right")
    return int(first), int(last) + 1

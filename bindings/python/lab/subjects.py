"""The models that the lab knows, by name: each a Llama and what its tasks make prompts from.

Here: the table. Not here: where files come from (fetch.py, weights.py), tasks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fetch import smollm2
from language import Language
from llama import Llama
from weights import load


@dataclass(frozen=True)
class Subject:
    llama: Llama
    words: Any
    """What the model's tasks need: a Language, or a small model's own vocabulary."""


def _smollm2() -> Subject:
    folder = smollm2()
    return Subject(load(folder), Language(folder))


SUBJECTS: dict[str, Callable[[], Subject]] = {"smollm2": _smollm2}


@functools.cache
def subject(name: str) -> Subject:
    """The model of that name, loaded once a process."""
    return SUBJECTS[name]()

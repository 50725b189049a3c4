"""Summary: how far what a compressed cache would say departs from what the whole cache says.

A real text, `Summarize the text above in a few sentences.`; the whole cache's own 32 greedy tokens are fed to every variant,
and judged by the divergence of the next token's distribution (kl), and by agreement (digits right: tokens that agree).
"""

from __future__ import annotations

from language import Language

from tasks.continuation import excerpt
from tasks.filler import asked
from tasks.needle import AROUND
from tasks.prompt import Prompt, Task

QUESTION = "Summarize the text above in a few sentences."
OWN = 32


def make(language: Language, length: int, seed: int, query: str) -> Prompt:
    """Prompt number `seed`; the texts are those of the continuation of that length."""
    text = language.decode(excerpt(language, length - AROUND, seed)).strip()
    return asked(language, text, QUESTION, query, "", "", OWN)


TASK = Task("summary", make, exact=False)

"""What a prompt is, whatever it asks.

Here: the two dataclasses and the two places of a question. Not here: any task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SEEN, UNSEEN, NO_QUERY = "seen", "unseen", "none"
QUERIES = (SEEN, UNSEEN)
"""Where the question stands: at the end of what is compressed, or behind it (the context is compressed before anybody knows
what will be asked). Tasks without a question have NO_QUERY."""


@dataclass(frozen=True)
class Prompt:
    """Token ids in order: context, stem, answer."""

    context: list[int]
    """Prefilled, then compressed."""
    stem: list[int]
    """Run over the compressed cache, not judged. At least one token: the prefill's own logits saw the whole cache."""
    answer: list[int]
    """Run likewise and judged, each token by the logits of the one before. Empty if `own` is not 0."""
    own: int = 0
    """The answer is what the whole cache says by itself: so many greedy tokens."""


@dataclass(frozen=True)
class Task:
    name: str
    make: Callable[[Any, int, int, str], Prompt]
    """(words, length, seed, query): `words` is the subject's (subjects.py), `length` is about how many tokens the context has."""
    queries: tuple[str, ...] = QUERIES
    exact: bool = True
    """Whether an answer is right or wrong; if not, only nll and kl count."""
    models: tuple[str, ...] = ("smollm2",)
    """Whose words it is made of (subjects.py)."""

"""Seeded questions for both small models: context, question and answer apart, so that a cache can be compressed before or after.

Here: recall, aggregation, copy; for a model that knows LINK also two-hop, answered at once or written down step by step. Not
here: answering (answers.py). Contexts are those of examples/recall/prompts.py: a tenth facts, markers, filler words.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from recall.prompts import AGGREGATION, FACTS, RECALL, TOKENS, PromptMaker

COPY, TWO_HOP, TWO_HOP_WRITTEN = "copy", "two-hop", "two-hop, written"
TASKS = (RECALL, AGGREGATION, COPY, TWO_HOP, TWO_HOP_WRITTEN)
LATER = (RECALL, TWO_HOP)
"""Tasks that are asked a second time with the question not yet known when the cache is compressed."""

STRING, GIVEN = 12, 4  # tokens of a string to copy; those that the question repeats
LINKS = 20  # of three tokens; with LINKED_FACTS facts they take as many tokens as FACTS facts do elsewhere
LINKED_FACTS = (4 * FACTS - 3 * LINKS) // 4


@dataclass(frozen=True)
class Question:
    """A prompt of TOKENS tokens in two parts, and its answer: right only if all of its tokens are."""

    context: np.ndarray  # (TOKENS - len(question),) int64
    question: list[int]
    answer: list[int]

    @property
    def tokens(self) -> np.ndarray:
        """The whole prompt (TOKENS,)."""
        return np.concatenate([self.context, self.question])


class QuestionMaker(PromptMaker):
    """Draws questions; the same seed, task and index give the same one."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.tasks = TASKS if "LINK" in self.special else TASKS[:3]

    def draw(self, task: str, index: int) -> Question:
        """Question number `index` of a task. What is asked for, and where it stands, is uniform."""
        if task in (RECALL, AGGREGATION):
            prompt = self.prompt(task, index)
            asked = 2 if task == RECALL else 1
            return Question(prompt.tokens[:-asked], prompt.tokens[-asked:].tolist(), [int(x) for x in prompt.answer])
        random = np.random.default_rng([self.seed, TASKS.index(task), index])
        facts = self._facts(random)
        unused = random.permutation(np.setdiff1d(self.keys, [fact[1] for fact in facts])).tolist()
        pieces, question, answer = (self._copy if task == COPY else self._two_hop)(random, facts, unused)
        if task == TWO_HOP_WRITTEN:
            question[0] = self.special["Q"]
        else:
            answer = answer[1:] if task == TWO_HOP else answer
        pieces += [[marker] for marker in self._markers(random)[0]]
        context = self._strew(random, pieces, TOKENS - 1 - len(question))
        return Question(np.array([self.special["BOS"], *context]), question, answer)

    def _copy(
        self, random: np.random.Generator, facts: list[list[int]], unused: list[int]
    ) -> tuple[list[list[int]], list[int], list[int]]:
        """A string of unused keys among the facts. Asked: its first GIVEN tokens; the answer: those after them."""
        string = unused[:STRING]
        return [*facts, string], string[:GIVEN], string[GIVEN:]

    def _two_hop(
        self, random: np.random.Generator, facts: list[list[int]], unused: list[int]
    ) -> tuple[list[list[int]], list[int], list[int]]:
        """LINK key1 key2 for LINKS of the facts. Asked: HOP key1; the answer: key2 and its two values."""
        facts = facts[:LINKED_FACTS]
        ends = random.permutation(LINKED_FACTS)[:LINKS]
        links = [[self.special["LINK"], key, facts[end][1]] for key, end in zip(unused, ends)]
        asked = int(random.integers(LINKS))
        return [*facts, *links], [self.special["HOP"], links[asked][1]], facts[ends[asked]][1:]

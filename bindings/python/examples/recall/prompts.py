"""Seeded prompts for the recall model: facts and markers strewn in filler words, one question at the end.

Here: the vocabulary (tokens.json) and the two tasks it describes. Not here: the model, the judging.
`prompts.py 200` prints prompts of both tasks, in turns, as JSON lines (examples/corpus_ray.py reads them).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TOKENS = 2048  # of a prompt, its question included; what the model was trained for
FACTS = TOKENS // 10 // 4  # a tenth of the tokens are facts, four tokens each: FACT key value1 value2
CHAIN_SEED = 123  # of the filler chain the model was trained on
SUCCESSORS = 4  # likely followers of a filler word
FEWEST_MARKERS, MOST_MARKERS = 6, 19

RECALL, AGGREGATION = "recall", "aggregation"


@dataclass(frozen=True)
class Prompt:
    task: str  # RECALL or AGGREGATION
    tokens: np.ndarray  # (TOKENS,) int64
    answer: list[int]  # two value tokens, or one marker; right only if all of them are


class PromptMaker:
    """Draws prompts; the same seed and index give the same prompt, in whatever order they are asked for."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Reads tokens.json of `folder`."""
        vocabulary = json.loads((folder / "tokens.json").read_text())
        self.special: dict[str, int] = vocabulary["special"]
        self.keys, self.values, self.filler, self.markers = (
            np.arange(vocabulary[kind]["count"]) + vocabulary[kind]["first"]
            for kind in ("keys", "values", "filler", "markers")
        )
        words = len(self.filler)
        self.chain = np.random.default_rng(CHAIN_SEED).integers(0, words, size=(words, SUCCESSORS))
        self.seed = seed

    def prompt(self, task: str, index: int) -> Prompt:
        """Prompt number `index` of a task. Which fact is asked for, and its place, is uniform."""
        random = np.random.default_rng([self.seed, [RECALL, AGGREGATION].index(task), index])
        facts = self._facts(random)
        markers, majority = self._markers(random)
        if task == RECALL:
            asked = facts[random.integers(FACTS)]
            question, answer = [self.special["Q"], asked[1]], asked[2:]
        else:
            question, answer = [self.special["MOST"]], [majority]
        context = self._strew(random, facts + [[marker] for marker in markers], TOKENS - 1 - len(question))
        return Prompt(task, np.array([self.special["BOS"], *context, *question]), answer)

    def majority(self, tokens: np.ndarray) -> int | None:
        """The marker that more than half of the markers in `tokens` are: what MOST asks for. None if there is none."""
        counts = np.bincount(tokens[np.isin(tokens, self.markers)], minlength=1)
        return int(counts.argmax()) if 2 * counts.max() > counts.sum() else None

    def _facts(self, random: np.random.Generator) -> list[list[int]]:
        """FACTS times FACT key value1 value2; keys differ, values need not."""
        keys = random.choice(self.keys, FACTS, replace=False)
        values = random.choice(self.values, (FACTS, 2))
        return [[self.special["FACT"], int(key), int(first), int(second)] for key, (first, second) in zip(keys, values)]

    def _markers(self, random: np.random.Generator) -> tuple[list[int], int]:
        """Markers, more than half of them the same one; and that one."""
        count = int(random.integers(FEWEST_MARKERS, MOST_MARKERS + 1))
        majority, *others = (int(marker) for marker in random.permutation(self.markers))
        times = int(random.integers(count // 2 + 1, count + 1))
        return [majority] * times + [int(marker) for marker in random.choice(others, count - times)], majority

    def _strew(self, random: np.random.Generator, pieces: list[list[int]], length: int) -> list[int]:
        """`length` tokens: filler words with the pieces, each unbroken, at random places between them."""
        filler = self._filler(random, length - sum(map(len, pieces)))
        places = np.sort(random.integers(0, len(filler) + 1, len(pieces)))
        context, done = [], 0
        for place, piece in zip(places, random.permutation(len(pieces))):
            context += filler[done:place] + pieces[piece]
            done = place
        return context + filler[done:]

    def _filler(self, random: np.random.Generator, count: int) -> list[int]:
        """A walk of `count` words: one of the word's SUCCESSORS with probability 0.9, else any word."""
        word, walk = int(random.integers(len(self.filler))), []
        for likely, successor, anything in zip(
            random.random(count) < 0.9,
            random.integers(0, SUCCESSORS, count),
            random.integers(0, len(self.filler), count),
        ):
            walk.append(int(self.filler[word]))
            word = int(self.chain[word, successor] if likely else anything)
        return walk


def main() -> None:
    maker = PromptMaker(Path(__file__).resolve().parent, seed=0)
    for number in range(int(sys.argv[1])):
        task = (RECALL, AGGREGATION)[number % 2]
        prompt = maker.prompt(task, number // 2)
        row = {"id": f"{task}-{number // 2}", "tokens": prompt.tokens.tolist(), "length": len(prompt.answer)}
        print(json.dumps(row))


if __name__ == "__main__":
    main()

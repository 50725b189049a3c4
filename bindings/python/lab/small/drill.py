"""What the second model is trained on: batches of prompts, each with several questions and their answers.

Here: strings to copy; contexts of facts, links, markers, a string and filler words, with questions behind. Not here: the
prompts that judge a model (tasks.py: one question a prompt), the training loop (train.py).
Letters: B prompts of a batch, T tokens of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from recall.prompts import SUCCESSORS, PromptMaker

RECALL, MOST, WRITTEN, HOP, COPY = KINDS = ("recall", "most", "written", "hop", "copy")


@dataclass(frozen=True)
class Stage:
    """A step of the curriculum: a kind of batch, and how long it is trained on."""

    name: str
    context: int  # tokens between BOS and the first question; 0: strings to copy and nothing else
    batch: int
    steps: int  # at most; a stage ends before if it was learned (train.py)
    rate: float  # of the learning rate
    density: float = 0.0  # share of the context that is facts and links
    questions: tuple[int, int, int] = (0, 0, 0)  # of recall, written, hop


@dataclass(frozen=True)
class Batch:
    tokens: np.ndarray  # (B, T) int64
    kinds: (
        np.ndarray
    )  # (B, T) int8: 1 + KINDS.index(kind) of the question that this token answers; 0 if it answers none


class Drill:
    """Draws batches; everything comes from the generator that is passed, so that a run can be repeated."""

    def __init__(self, maker: PromptMaker) -> None:
        self.maker = maker
        self.special = maker.special
        self.chain: list[list[int]] = maker.chain.tolist()

    def batch(self, random: np.random.Generator, stage: Stage) -> Batch:
        return self._prompts(random, stage) if stage.context else self._strings(random, stage.batch)

    def _strings(self, random: np.random.Generator, batch: int) -> Batch:
        """Random tokens of any kind, 8 to 24 a prompt, twice; the second half but its first token is the answer."""
        length = int(random.integers(8, 25))
        string = random.integers(self.maker.keys[0], self.maker.markers[-1] + 1, (batch, length))
        kinds = np.zeros((batch, 1 + 2 * length), np.int8)
        kinds[:, length + 2 :] = 1 + KINDS.index(COPY)
        start = np.full((batch, 1), self.special["BOS"])
        return Batch(np.concatenate([start, string, string], axis=1), kinds)

    def _prompts(self, random: np.random.Generator, stage: Stage) -> Batch:
        """Prompts of one make-up: as many facts, links, markers and questions in each, so that all are T tokens long."""
        context, tokens_of_pieces = stage.context, int(stage.density * stage.context)
        string = int(random.integers(6, 17)) if random.random() < 0.4 else 0
        markers = int(random.integers(3, 8) if context < 90 else random.integers(6, 20)) if random.random() < 0.5 else 0
        share = float(random.choice([0, 0.4, 0.5]))  # of the pieces that are links
        pieces = max(3, min(tokens_of_pieces, context - string - markers) // 4)
        links = int(share * pieces)
        facts = pieces - links
        recall, written, hop = stage.questions
        hop = min(hop, links)
        asked = (min(recall, facts), min(written, links - hop), hop)
        rows = [self._row(random, context, facts, links, markers, string, asked) for _ in range(stage.batch)]
        return Batch(np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.int8))

    def _row(
        self,
        random: np.random.Generator,
        context: int,
        facts: int,
        links: int,
        markers: int,
        string: int,
        asked: tuple[int, int, int],
    ) -> tuple[list[int], list[int]]:
        """One prompt's tokens and kinds (Batch)."""
        special, recall = self.special, asked[0]
        keys = random.permutation(self.maker.keys)[: facts + links + string].tolist()
        told, linked, copied = keys[:facts], keys[facts : facts + links], keys[facts + links :]
        values = random.choice(self.maker.values, (facts, 2)).tolist()
        ends = random.permutation(facts)[:links].tolist()  # the facts that links lead to
        pieces = [[special["FACT"], key, *value] for key, value in zip(told, values)]
        pieces += [[special["LINK"], key, told[end]] for key, end in zip(linked, ends)]
        questions: list[tuple[str, list[int], list[int]]] = []
        for fact in random.permutation(facts)[:recall].tolist():
            questions.append((RECALL, [special["Q"], told[fact]], values[fact]))
        chosen = random.permutation(links)[: asked[1] + asked[2]].tolist()
        for number, link in enumerate(chosen):
            end = ends[link]
            if number < asked[1]:
                questions.append((WRITTEN, [special["Q"], linked[link]], [told[end], *values[end]]))
            else:
                questions.append((HOP, [special["HOP"], linked[link]], values[end]))
        if markers:
            majority, *others = random.permutation(self.maker.markers).tolist()
            times = int(random.integers(markers // 2 + 1, markers + 1))
            pieces += [[majority]] * times + [[marker] for marker in random.choice(others, markers - times).tolist()]
            questions.append((MOST, [special["MOST"]], [majority]))
        if string:
            pieces.append(copied)
            given = int(random.integers(2, string - 1))
            questions.append((COPY, copied[:given], copied[given:]))
        body = self._strewn(random, pieces, context)
        tokens, kinds = [special["BOS"], *body], [0] * (1 + len(body))
        for number in random.permutation(len(questions)).tolist():
            kind, question, answer = questions[number]
            tokens += question + answer
            kinds += [0] * len(question) + [1 + KINDS.index(kind)] * len(answer)
        return tokens, kinds

    def _strewn(self, random: np.random.Generator, pieces: list[list[int]], length: int) -> list[int]:
        """Filler words with the pieces, each unbroken, at random places between them; `length` tokens."""
        filler = list(self._walk(random, max(0, length - sum(map(len, pieces)))))
        places = np.sort(random.integers(0, len(filler) + 1, len(pieces))).tolist()
        body: list[int] = []
        done = 0
        for place, piece in zip(places, random.permutation(len(pieces)).tolist()):
            body += filler[done:place] + pieces[piece]
            done = place
        return body + filler[done:]

    def _walk(self, random: np.random.Generator, count: int) -> Iterable[int]:
        """A walk of `count` words along the chain."""
        likely = (random.random(count) < 0.9).tolist()
        successors = random.integers(0, SUCCESSORS, count).tolist()
        anything = random.integers(0, len(self.maker.filler), count).tolist()
        word, first = int(random.integers(len(self.maker.filler))), int(self.maker.filler[0])
        for follows, successor, other in zip(likely, successors, anything):
            yield first + word
            word = self.chain[word][successor] if follows else other

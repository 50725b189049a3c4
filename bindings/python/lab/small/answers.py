"""A question answered from what a setting keeps, with the question in the window or not yet known.

In the window: the whole prompt is prefilled and compressed; the last token is run again over the kept rows, and the answer is
decoded. Later: only the context is compressed; then the question's tokens are run over the kept rows, and the answer is decoded.
Here: the walk through a plan, both ways to answer, judging. Not here: parameters (settings.py), questions (tasks.py), the
model's arithmetic (examples/recall/model.py).
Letters: Hq query heads, H key/value heads, D head size, T prompt tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from recall.model import Llama, PrefilledLayer, RaggedCache
from settings import FULL, Setting
from tasks import LATER, Question, QuestionMaker

import kvsieve

HERE = Path(__file__).resolve().parent
MODELS = {"4 layers": HERE / "recall", "6 layers": HERE / "model"}
"""The given model of examples/recall, and the second one."""

IN_WINDOW, NOT_YET_KNOWN = QUESTIONS = ("in the window", "not yet known")


@dataclass(frozen=True)
class Outcome:
    """One prompt answered from one cache."""

    question: str  # one of QUESTIONS
    setting: str
    share: float
    kept: float  # rows a head, mean; 0 if the library refused the budget
    tokens: int  # of the answer that are right
    right: bool  # all of them are


class Answerer:
    """A model with its questions; answers one prompt from every cache that is asked for."""

    def __init__(self, model: str, seed: int) -> None:
        folder = MODELS[model]
        self.llama = Llama(folder)
        self.maker = QuestionMaker(folder, seed)
        self.model = kvsieve.Model(
            layers=self.llama.layers,
            query_heads=self.llama.query_heads,
            kv_heads=self.llama.kv_heads,
            head_dim=self.llama.head_dim,
        )

    def examine(
        self, task: str, index: int, cells: Sequence[tuple[Setting, float]], questions: Sequence[str] = QUESTIONS
    ) -> list[Outcome]:
        """Prefills question `index` of `task` once; the full cache's outcome, then one for every cell.

        All of them once for each of `questions` that the task is asked with.
        """
        drawn = self.maker.draw(task, index)
        whole = self.llama.prefill(drawn.tokens, len(drawn.tokens))
        outcomes = []
        for question in questions:
            if question == IN_WINDOW:
                prefilled = whole
            elif task in LATER:
                prefilled = [_first(layer, len(drawn.context)) for layer in whole]  # causal: as if prefilled alone
            else:
                continue
            outcomes.append(self._judged(drawn, question, FULL, 1.0, _all_rows(prefilled)))
            for setting, share in cells:
                caches = self._compressed(setting, share, task, prefilled)
                outcomes.append(self._judged(drawn, question, setting.name, share, caches))
        return outcomes

    def _judged(
        self, drawn: Question, question: str, setting: str, share: float, caches: list[RaggedCache] | None
    ) -> Outcome:
        if caches is None:
            return Outcome(question, setting, share, 0, 0, False)
        heads = sum(len(cache.offsets) - 1 for cache in caches)
        kept = sum(len(cache.keys) for cache in caches) / heads
        known, length = len(drawn.tokens), len(drawn.answer)
        if question == IN_WINDOW:
            answer = self.llama.answer(caches, drawn.question[-1], known - 1, length)
        else:
            for number, token in enumerate(drawn.question[:-1]):
                self.llama.next_token(token, len(drawn.context) + number, caches)
            answer = []
            token = drawn.question[-1]
            for step in range(length):
                token = self.llama.next_token(token, known - 1 + step, caches)
                answer.append(token)
        right = sum(given == wanted for given, wanted in zip(answer, drawn.answer))
        return Outcome(question, setting, share, kept, right, right == length)

    def _compressed(
        self, setting: Setting, share: float, task: str, prefilled: Sequence[PrefilledLayer]
    ) -> list[RaggedCache] | None:
        """What the setting keeps of every layer; None if the library refuses the budget."""
        caches = []
        last = prefilled[0].keys.shape[1] - 1
        with kvsieve.Plan(setting.method, self.model, **setting.parameters(share, task)) as plan:
            try:
                for number, layer in enumerate(prefilled):
                    plan.observe(number, layer.queries, layer.keys, layer.values)
                plan.finish()
            except kvsieve.KVSieveError as error:
                if error.name != "KVSIEVE_ERR_BUDGET":
                    raise
                return None
            for number, layer in enumerate(prefilled):
                kept = plan.kept(number)
                offsets = np.array(kept.offsets)
                if not (np.asarray(kept.positions)[offsets[1:] - 1] == last).all():
                    raise ValueError(f"{setting.name}: a head of layer {number} does not keep the last token")
                caches.append(RaggedCache(plan.gather(number, layer.keys), plan.gather(number, layer.values), offsets))
        return caches


def _first(layer: PrefilledLayer, tokens: int) -> PrefilledLayer:
    """A layer as it was when it had seen `tokens` tokens. Queries are those of all tokens."""
    return PrefilledLayer(layer.queries[:, :tokens], layer.keys[:, :tokens], layer.values[:, :tokens])


def _all_rows(prefilled: Sequence[PrefilledLayer]) -> list[RaggedCache]:
    """The full cache: T rows in each of H heads."""
    caches = []
    for layer in prefilled:
        heads, tokens, dim = layer.keys.shape
        keys, values = (array.reshape(-1, dim) for array in (layer.keys, layer.values))
        caches.append(RaggedCache(keys, values, np.arange(heads + 1) * tokens))
    return caches

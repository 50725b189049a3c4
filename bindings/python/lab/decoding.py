"""Decoding: a cache is held at its budget while a long text is taken in, token after token; then its beginning is asked about.

Here: a plan and its caches under Plan.step, one document through all settings. Not here: documents (tasks/long_text.py).
Letters: B variants (a setting with a budget), S tokens, m tokens of a step, N all tokens after the prompt, E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from choices import observe, shape
from held import Held
from judge import Tokens, by_token, log_probabilities
from later_records import Later, Stage, judged_row
from llama import Llama, Prefix
from records import Pair
from setting import FULL, Setting
from subjects import subject
from tasks import long_text

import kvsieve

TOGETHER = 16
"""Tokens of a step: as many as every method but TOVA protects. The library takes them as if they came one by one."""
STRETCHES = 3
"""Parts of the text that are judged each for itself: whether a cache loses more and more."""
JUDGED = 128  # tokens whose logits are there at once


class Slots:
    """One variant: a plan that decodes, and the caches of all layers."""

    def __init__(self, llama: Llama, prefix: Prefix, setting: Setting, budget: int) -> None:
        self.scale, self.layers = llama.scale, []
        self.plan = kvsieve.Plan(setting.method, shape(llama), **setting.parameters, budget=budget, decoding=1)
        observe(self.plan, prefix)
        for layer in range(llama.layers):
            kept = self.plan.kept(layer)
            held = Held(llama.kv_heads, kept.longest + TOGETHER + budget, llama.head_dim)
            for rows, source in ((held.keys, prefix.keys[layer]), (held.values, prefix.values[layer])):
                self.plan.gather(layer, source, out=rows)
            held.counts[:] = kept.counts
            self.layers.append(held)

    def take(self, layer: int, queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        """New tokens (Hq, m, D) (H, m, D) (H, m, D) of a layer: what attention makes of them, (m, Hq * D)."""
        held = self.layers[layer]
        held.append(keys, values)
        slots = self.plan.step(layer, queries, *held.rows())
        mixed = held.attend(queries * self.scale, slots)
        held.settle(slots)
        return mixed


def through(llama: Llama, first: int, variants: Sequence[Slots], tokens: np.ndarray, together: int) -> np.ndarray:
    """All of `tokens` (B, N), from position `first`, through the variants, `together` at a step: (B, N, E), normalized."""

    def attend(layer: int, queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        each = zip(variants, np.ascontiguousarray(queries), keys, values)
        return np.concatenate([variant.take(layer, *tensors) for variant, *tensors in each])

    starts = range(0, tokens.shape[1], together)
    return np.concatenate(
        [llama.run(tokens[:, start : start + together], first + start, attend) for start in starts], axis=1
    )


@dataclass
class Document:
    """One stage on its way."""

    stage: Stage
    fed: list[int]
    """After the prompt: text, question, answer but for its last token."""
    due: list[int]
    """The token after each of `fed`. The prompt's own logits saw the whole cache: fed[0] is not judged."""
    parts: dict[str, slice]
    """Of `due`."""
    variants: list[Slots]
    about: list[tuple[str, str, float, float]]
    """Setting, digest, size, held; the whole cache first."""
    states: list[np.ndarray]
    """Hidden states (N, E) of each."""


def examine(stages: Sequence[Stage], wanted: Sequence[Pair]) -> list[Later]:
    """Rows for the whole cache, and for each setting and budget: of the text, of its stretches, of the answer.

    Stages of one length go together: a step of one token reads all weights, however many variants it serves.
    """
    llama = subject(stages[0].model).llama
    documents = [_begun(stage, wanted) for stage in stages]
    longest = max(len(document.fed) for document in documents)
    for together in (TOGETHER, 1):
        numbers = [number for number, (setting, _) in enumerate(wanted) if steps_of(setting) == together]
        for some in [documents] if together == 1 else [[document] for document in documents]:
            variants = [document.variants[number] for document in some for number in numbers]
            if not variants:
                continue
            # Nothing is judged behind a document's own end.
            tokens = np.repeat(
                [np.pad(document.fed, (0, longest - len(document.fed))) for document in some], len(numbers), 0
            )
            hidden = through(llama, stages[0].length, variants, tokens, together)
            for place, (document, number) in enumerate((document, number) for document in some for number in numbers):
                document.states[1 + number] = hidden[place, : len(document.fed)]
    rows = []
    for document in documents:
        for about, each in zip(document.about, judged(llama, document.states, document.due)):
            rows += [judged_row(document.stage, part, *about, each[where]) for part, where in document.parts.items()]
    return rows


def _begun(stage: Stage, wanted: Sequence[Pair]) -> Document:
    """A document whose prompt is prefilled and compressed; what the whole cache says of all the rest is there."""
    model = subject(stage.model)
    document = long_text.make(model.words, stage.length, stage.more, stage.seed)
    fed = [*document.text, *document.question, *document.answer[:-1]]
    due = [*fed[1:], document.answer[-1]]
    text, size = len(document.text) - 1, -(-len(document.text) // STRETCHES)
    parts = {"text": slice(0, text), "answer": slice(len(due) - len(document.answer), len(due))}
    parts |= {f"text from {first}": slice(first, min(first + size, text)) for first in range(0, text, size)}

    prefix = model.llama.prefill(document.prompt)
    about = [(FULL, "-", 1.0, 1.0)]
    about += [(one.name, one.digest, size, min(1.0, size / (prefix.tokens + len(fed)))) for one, size in wanted]
    states = [model.llama.suffix(prefix, [None], fed).hidden[0], *(np.empty(0) for _ in wanted)]
    variants = [Slots(model.llama, prefix, setting, int(budget)) for setting, budget in wanted]
    return Document(stage, fed, due, parts, variants, about, states)


def steps_of(setting: Setting) -> int:
    """How many tokens a step of it may have: TOVA protects but the newest."""
    return 1 if setting.method == "tova" else TOGETHER


def judged(llama: Llama, states: Sequence[np.ndarray], due: Sequence[int]) -> list[Tokens]:
    """Of each variant's hidden states (N, E), the first of which are the whole cache's."""
    found: list[list[Tokens]] = [[] for _ in states]
    for start in range(0, len(due), JUDGED):
        block = slice(start, start + JUDGED)
        whole = log_probabilities(llama.logits(states[0][block]))
        for tokens, each in zip(found, states):
            tokens.append(by_token(llama.logits(each[block]), due[block], whole))
    return [Tokens.joined(tokens) for tokens in found]

"""What these tests share: methods with parameters that make them drop something, and a generate() that is compared.

KVSIEVE_LIBRARY names the library; the default is this repository's release build.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
os.environ.setdefault("KVSIEVE_LIBRARY", str(ROOT / ".build/release/libkvsieve.so"))

import torch

torch.set_num_threads(1)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers

transformers.logging.set_verbosity_error()

import kvsieve
import kvsieve.transformers as sieve
from reference import Recorder, full_pass

CLOSE = 1e-5
SMALL = {
    "window": 8,
    "sinks": 4,
    "recent": 12,
    "semantic": 16,
    "size": 4,
    "shared": 2,
    "pyramid": 4,
    "ratio": 0.5,
}


def settings(method: str, budget: int = 40) -> Any:
    """Parameters by which a method drops something of a prompt of 100 tokens."""
    info = next(info for info in kvsieve.methods() if info.name == method)
    known = {parameter.name for parameter in info.parameters}
    own = {name: value for name, value in SMALL.items() if name in known and (name != "ratio" or method == "taskkv")}
    return own if method == "taskkv" else {"budget": budget, **own}


METHODS = [info.name for info in kvsieve.methods()]
DECODING = [info.name for info in kvsieve.methods() if info.decodes]


class Talk:
    """A conversation with a compressed cache, and all logits that the model gave on the way."""

    def __init__(self, model: Any, method: str, *, mask: Any = None, **keywords: Any) -> None:
        self.model, self.method = model, method
        self.cache = sieve.SieveCache(model, method, **keywords)
        self.recorder = Recorder()
        self.text: Any = None
        self.mask = mask
        self.logits: list[tuple[int, Any]] = []  # the column that they are of, (B, columns, words)
        self.rounds: list[tuple[int, int]] = []

    def generate(self, new: Any, count: int, new_mask: Any = None, **keywords: Any) -> Any:
        """generate() on all that was said and `new`; returns the generated tokens."""
        ids = new if self.text is None else torch.cat([self.text, new], 1)
        mask = torch.ones_like(ids)
        if self.mask is not None:
            mask[:, : self.mask.shape[1]] = self.mask
        if new_mask is not None:
            mask[:, -new.shape[1] :] = new_mask
        self.mask = mask
        self.recorder.padding = None if bool(mask.all()) else torch.cat([mask, mask.new_ones(len(mask), count)], 1)
        self.rounds.append((self.rounds[-1][1] if self.rounds else 0, ids.shape[1]))  # of what is new since the last
        with self.recorder, self.cache.attached():
            out = self.model.generate(
                ids,
                attention_mask=mask,
                past_key_values=self.cache,
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=False,
                return_dict_in_generate=True,
                output_logits=True,
                **keywords,
            )
        self.text = out.sequences
        self.mask = torch.cat([mask, mask.new_ones(len(mask), count)], 1)
        self.logits += [(ids.shape[1] - 1 + step, part[:, None]) for step, part in enumerate(out.logits)]
        return out.sequences[:, ids.shape[1] :]

    def full(self) -> Any:
        """The logits of one full pass in which what was dropped is masked."""
        mask = None if bool(self.mask.all()) else self.mask
        return full_pass(self.model, self.cache, self.recorder.events, self.text, mask)

    def difference(self) -> float:
        full = self.full()
        return max(float((part - full[:, at : at + part.shape[1]]).abs().max()) for at, part in self.logits)

    def dropped(self) -> int:
        return sum(self.cache.report(index).dropped for index in range(len(self.cache.sequences)))


def columns_of(mask: Any, sequence: int) -> np.ndarray:
    return np.flatnonzero(mask[sequence].numpy())


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)

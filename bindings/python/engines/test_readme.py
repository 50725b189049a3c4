"""What bindings/python/README.md says of transformers: its lines run, and its table of refusals is of this package."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import torch
from conftest import ROOT
from families import make, words

README = (ROOT / "bindings/python/README.md").read_text()


def test_the_lines_run() -> None:
    blocks = [text.split("```")[0] for text in README.split("```python\n")[1:]]
    (block,) = [block for block in blocks if "kvsieve.transformers" in block]
    ids, longer = words(1200, seed=1), words(1500, seed=1)
    scope: dict[str, Any] = {
        "llm": make("llama"),
        "inputs": {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        "longer": {"input_ids": longer, "attention_mask": torch.ones_like(longer)},
    }
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(block, scope)  # noqa: S102
    held, of, full, dropped = said.getvalue().split()
    assert of == "of" and 0 < int(held) < int(full) and int(dropped) > 0
    assert scope["text"].shape[1] == 1400 and scope["run"].cache.rounds == 2


def test_releases_that_are_named() -> None:
    tested = README.split("Tested with transformers ")[1].split(" (")[0]
    for file in ("newest.txt", "oldest.txt"):
        version = (ROOT / "bindings/python/engines" / file).read_text().split("\n")[0].split("==")[1]
        assert version in tested, f"{file} pins {version}: the README names {tested}"

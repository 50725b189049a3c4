"""A model of transformers on two ranks, with compressed caches: the rows that one process keeps, and its logits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launch import start
from split_model import LAYERS, METHODS, PROMPT, talk, whole

CLOSE = 1e-5


@cache
def of_one(heads: int, method: str) -> dict[str, Any]:
    return talk(whole(heads), method)


@pytest.mark.parametrize("heads", [4, 8])
@pytest.mark.parametrize("way", ["hand", "plan"])
def test_logits_and_rows(way: str, heads: int, tmp_path: Path) -> None:
    saved = tmp_path / "model"
    whole(heads).save_pretrained(saved)
    ended = start("gloo", 2, "split_model.py", tmp_path, way, str(heads), str(saved))
    assert not any(ended.statuses), ended.said
    assert [result["heads"] for result in ended.results] == (
        [heads // 4, 3 * heads // 4] if way == "hand" else [heads // 2] * 2
    )
    for method in METHODS:
        expected = of_one(heads, method)
        found = [result["found"][method] for result in ended.results]
        for index, rows in enumerate(expected["kept"]):
            together = [[head for one in found for head in one["kept"][index][layer]] for layer in range(LAYERS)]
            assert together == rows, (method, index)
            assert any(len(head) < PROMPT for layer in rows for head in layer), (method, index)
        for one in found:
            assert np.abs(np.array(one["logits"]) - np.array(expected["logits"])).max() < CLOSE, method

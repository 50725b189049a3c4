"""compress, and the examples: quickstart.py and the blocks of the README."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LAYERS, MODEL, WINDOW, Cache, noise, parameters

import kvsieve
from kvsieve import _library


def test_compress_is_plan_layer_by_layer(method: kvsieve.MethodInfo, cache: Cache) -> None:
    layers = kvsieve.compress(method.name, cache.queries, cache.keys, cache.values, **parameters(method))
    assert len(layers) == LAYERS
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        cache.through(plan)
        for number, layer in enumerate(layers):
            assert np.array_equal(layer.kept.positions, plan.kept(number).positions)
            assert np.array_equal(layer.keys, plan.gather(number, cache.keys[number]))
            assert np.array_equal(layer.values, plan.gather(number, cache.values[number]))


def test_compress_takes_words_and_none(cache: Cache) -> None:
    queries = [cache.queries[0], None, cache.queries[2], None]
    settings: dict[str, Any] = {"budget": 64, "window": WINDOW, "size": 8, "shared": 2}
    layers = kvsieve.compress(
        "windowkv", queries, list(cache.keys), list(cache.values), task="localization", **settings
    )
    assert np.array_equal(layers[0].kept.positions, layers[1].kept.positions)


def test_compress_has_the_scale(cache: Cache) -> None:
    settings: dict[str, Any] = {"budget": 64, "window": WINDOW}
    arrays = (cache.queries, cache.keys, cache.values)
    flat = kvsieve.compress("dynamickv", *arrays, scale=1e-3, **settings)[0].kept.positions
    assert not np.array_equal(flat, kvsieve.compress("dynamickv", *arrays, **settings)[0].kept.positions)


def test_compress_refuses_another_number_of_layers(cache: Cache) -> None:
    with pytest.raises(ValueError, match="queries, keys, values have 4, 3, 4 layers: expected the same number"):
        kvsieve.compress("dynamickv", cache.queries, cache.keys[:3], cache.values)
    with pytest.raises(ValueError, match="have 0, 0, 0 layers: .* at least 1"):
        kvsieve.compress("dynamickv", [], [], [])


def test_quickstart_prints_what_each_layer_kept(method: kvsieve.MethodInfo) -> None:
    example = Path(__file__).parents[1] / "examples" / "quickstart.py"
    command = [sys.executable, "-W", "error", str(example), method.name]
    environment = {"PYTHONPATH": str(Path(kvsieve.__file__).parents[1]), "KVSIEVE_LIBRARY": _library.find()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()[-4:]] == [f"layer {number}" for number in range(4)]
    assert len(example.read_text().splitlines()) <= 40


class Stream:
    """As LMCache's: it hands a function what is stored, and keeps what that returns."""

    def modify_kv(self, function: Callable[[Any, Any], tuple[Any, Any]]) -> None:
        shape = 2, 768, 8 * 128
        tensors = {"kv": noise(10, 2, *shape), "query": noise(11, 1, 2, 768, 32 * 128)}
        self.stored, self.tokens = function(tensors, range(768))


def test_the_lines_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block marked python, one after the other, on the arrays that it takes from an engine.

    Those of transformers and of torch.distributed run where these are: bindings/python/engines.
    """
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    blocks = [text.split("```")[0] for text in readme.split("```python\n")[1:]]
    blocks = [block for block in blocks if not re.search(r"kvsieve\.(transformers|distributed)", block)]
    scope: dict[str, Any] = {
        "queries": [noise(1, 32, 32, 128)] * 32,
        "keys": [noise(2, 8, 1100, 128)] * 32,
        "values": [noise(3, 8, 1100, 128)] * 32,
        "new_queries": [noise(4, 32, 10, 128)] * 32,
        "new_keys": [noise(5, 8, 10, 128)] * 32,
        "new_values": [noise(6, 8, 10, 128)] * 32,
        "words": [f" word {position}" for position in range(1100)],
        "stream": Stream(),
        "new_tokens": [[(noise(7, 32, 128), noise(8, 8, 128), noise(9, 8, 128))] * 32] * 2,
    }
    monkeypatch.chdir(tmp_path)  # the last block writes pictures
    for block in blocks:
        exec(block, scope)  # noqa: S102
    assert len(blocks) == 7
    assert scope["stream"].stored.shape == (2, 2, 512, 8 * 128) and len(scope["stream"].tokens) == 512
    assert [layer.kept.counts.tolist() for layer in scope["small"]] == [[132] * 8] * 32
    assert scope["sequence"][0].kept.tokens == 700
    assert scope["packed"].shape == (scope["kept"].total, 128)
    shown = np.asarray(scope["figure"].axes[0].images[0].get_array())
    assert shown.sum(axis=1).tolist() == [256] * 32 * 8 and shown.shape == (256, 1100)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kept.png", "rows.png"]
    came = np.concatenate([scope["keys"][0][0], *[token[0][1][:1] for token in scope["new_tokens"]]])
    assert {1100, 1101} <= set(scope["where"].tolist())
    assert np.array_equal(scope["cache"][0, 0, 0, :256], came[scope["where"]])
    assert scope["again"].counts.tolist() == [256] * 8 and scope["again"].tokens == 1110
    assert scope["smaller"].shape == (8 * 256, 128)
    words = kvsieve.compress(
        "windowkv", [noise(1, 32, 16, 128)] * 8, *[scope["keys"][:8]] * 2, budget=512, task="localization"
    )
    assert words[0].kept.total < 8 * 1100

"""examples/jax_decoder.py: logits of generated tokens against those of a full cache in double with what left masked."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact import FullCache
from jax_decoder import generate
from small_decoder import Config, random_weights

import kvsieve

CONFIG, PROMPT, NEW, CLOSE = Config(layers=2), 120, 6, 1e-5
WEIGHTS = random_weights(CONFIG)
PARAMS = {name: jnp.asarray(array) for name, array in WEIGHTS.items()}
SMALL = dict(window=8, sinks=4, recent=8, size=4, shared=2, pyramid=3, charge=1)


def settings(method: kvsieve.MethodInfo) -> dict[str, Any]:
    known = {info.name for info in method.parameters}
    size: dict[str, Any] = {"ratio": 0.75, "beta": 0.5, "semantic": 16} if method.name == "taskkv" else {"budget": 48}
    return {**size, **{name: value for name, value in SMALL.items() if name in known}}


def tokens(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, CONFIG.words, PROMPT)


def masked(prompt: list[int], method: str, new: list[int], **parameters: Any) -> tuple[Any, set[int]]:
    """(n, V) of the full cache; and how many rows heads keep."""
    full = FullCache(CONFIG, WEIGHTS)
    full.run(prompt, 0)
    with kvsieve.Plan(method, CONFIG.model, **parameters) as plan:
        for layer in range(CONFIG.layers):
            keys = full.rotated(full.keys[layer], full.positions[layer]).astype(np.float32)
            plan.observe(layer, full.queries[layer].astype(np.float32), keys, full.values[layer].astype(np.float32))
        plan.finish()
        full.mask(plan)
        counts = {int(count) for layer in range(CONFIG.layers) for count in plan.kept(layer).counts}
    return full.run(new, len(prompt)), counts


@pytest.mark.parametrize("method", kvsieve.methods(), ids=lambda method: method.name)
def test_logits_are_those_of_a_masked_full_cache(method: kvsieve.MethodInfo) -> None:
    """Every method, in one compiled function; heads of different lengths too."""
    prompt, parameters = tokens(1), settings(method)
    run = jax.jit(lambda params, ids: generate(CONFIG, params, ids, method.name, NEW, **parameters))
    made, logits = run(PARAMS, jnp.asarray(prompt))
    want, counts = masked(prompt.tolist(), method.name, made.tolist(), **parameters)
    assert max(counts) < PROMPT or method.name == "taskkv"
    if method.name in ("taskkv", "adakv", "dynamickv"):
        assert len(counts) > 1, counts
    assert np.abs(np.asarray(logits) - want).max() < CLOSE


def test_a_batch_is_its_sequences() -> None:
    """jax.vmap: a plan for each."""
    prompts = jnp.asarray(np.array([tokens(seed) for seed in range(3)]))

    def run(ids: Any) -> tuple[Any, Any]:
        return generate(CONFIG, PARAMS, ids, "snapkv", NEW, budget=48, window=8)

    made, logits = jax.jit(jax.vmap(run))(prompts)
    for i, prompt in enumerate(prompts):
        want, _ = masked(prompt.tolist(), "snapkv", made[i].tolist(), budget=48, window=8)
        assert np.abs(np.asarray(logits[i]) - want).max() < CLOSE, f"sequence {i}"
    assert len({tuple(each) for each in made.tolist()}) > 1

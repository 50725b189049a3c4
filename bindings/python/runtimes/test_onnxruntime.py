"""examples/onnxruntime_loop.py: logits after compression against those of a full cache in double with what left masked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exact import FullCache
from onnx_decoder import grouped, hand_out_queries, plain
from onnxruntime_loop import Decoder
from small_decoder import Config, random_weights

import kvsieve

CONFIG, PROMPT, NEW, CLOSE = Config(), 150, 8, 1e-5
WEIGHTS = random_weights(CONFIG)
SMALL = dict(window=8, sinks=4, recent=8, size=4, shared=2, pyramid=3, charge=1)
EVEN = [method for method in kvsieve.methods() if any(info.name == "even" for info in method.parameters)]
GRAPHS = ("plain", "grouped")


def settings(method: kvsieve.MethodInfo, **more: Any) -> dict[str, Any]:
    known = {info.name for info in method.parameters}
    return {"budget": 48, **{name: value for name, value in SMALL.items() if name in known}, **more}


def model(graph: str, **more: Any) -> Any:
    made = plain(CONFIG, WEIGHTS) if graph == "plain" else grouped(CONFIG, WEIGHTS, **more)
    if graph == "plain":
        hand_out_queries(made, CONFIG.query_heads, CONFIG.head_dim)
    return made


def tokens(seed: int, count: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(seed).integers(0, CONFIG.words, count).tolist()
    return drawn


def off(decoder: Decoder, full: FullCache, first: int) -> float:
    """The greatest difference of logits over new tokens: one, one, then the rest at once."""
    new, worst = tokens(99, NEW), 0.0
    for begin, end in ((0, 1), (1, 2), (2, NEW)):
        got, want = decoder.run(new[begin:end])["logits"][0], full.run(new[begin:end], first + begin)
        worst = max(worst, float(np.abs(got - want).max()))
    return worst


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("method", EVEN, ids=lambda method: method.name)
def test_logits_are_those_of_a_masked_full_cache(method: kvsieve.MethodInfo, graph: str) -> None:
    for seed in (1, 2):
        decoder, full = Decoder(model(graph), CONFIG), FullCache(CONFIG, WEIGHTS)
        prompt = tokens(seed, PROMPT)
        out = decoder.run(prompt)
        assert np.abs(out["logits"][0] - full.run(prompt, 0)).max() < CLOSE
        with kvsieve.Plan(method.name, CONFIG.model, even=1, **settings(method)) as plan:
            decoder.compress(plan, out)
            full.mask(plan)
            rows = decoder.past["past.0.key"].shape[2]
            assert rows == plan.kept(0).longest < 64
        assert decoder.past["past.0.key"].nbytes == rows * CONFIG.kv_heads * CONFIG.head_dim * 4
        assert off(decoder, full, PROMPT) < CLOSE, f"seed {seed}"


def test_what_was_dropped_matters() -> None:
    """The comparison can fail: without the mask logits differ by far more."""
    decoder, full = Decoder(model("plain"), CONFIG), FullCache(CONFIG, WEIGHTS)
    out = decoder.run(tokens(1, PROMPT))
    full.run(tokens(1, PROMPT), 0)
    with kvsieve.Plan("snapkv", CONFIG.model, budget=48, window=8) as plan:
        decoder.compress(plan, out)
    assert off(decoder, full, PROMPT) > 100 * CLOSE


@pytest.mark.parametrize("method", EVEN, ids=lambda method: method.name)
def test_a_model_that_counts_rows_gets_rotated_keys(method: kvsieve.MethodInfo) -> None:
    """Without position_ids the next position is the number of rows."""
    decoder, full = Decoder(model("grouped", own_positions=False), CONFIG), FullCache(CONFIG, WEIGHTS)
    assert "position_ids" not in decoder.inputs
    out = decoder.run(tokens(3, PROMPT))
    full.run(tokens(3, PROMPT), 0)
    with kvsieve.Plan(method.name, CONFIG.model, even=1, **settings(method)) as plan:
        decoder.compress(plan, out, kvsieve.Rope(CONFIG.frequencies))
        full.mask(plan, moved=True)
        rows = plan.kept(0).longest
    assert off(decoder, full, rows) < CLOSE


def test_queries_that_are_handed_out_are_those_of_the_operator() -> None:
    """query.l of one graph times present keys is qk.l of the other."""
    prompt = tokens(4, 40)
    outs = [Decoder(model(graph), CONFIG).run(prompt) for graph in GRAPHS]
    for layer in range(CONFIG.layers):
        group = CONFIG.query_heads // CONFIG.kv_heads
        keys = np.repeat(outs[0][f"present.{layer}.key"][0], group, axis=0)
        logits = outs[0][f"query.{layer}"][0] @ keys.swapaxes(1, 2) / CONFIG.head_dim**0.5
        assert np.abs(np.tril(logits - outs[1][f"qk.{layer}"][0])).max() < CLOSE


@pytest.mark.parametrize("method", ["dynamickv", "taskkv", "adakv"])
def test_layers_or_heads_of_different_lengths_are_refused(method: str) -> None:
    decoder = Decoder(model("plain"), CONFIG)
    out = decoder.run(tokens(5, PROMPT))
    info = next(each for each in kvsieve.methods() if each.name == method)
    more = dict(budget=0, ratio=0.75, beta=0.5, semantic=16) if method == "taskkv" else {}
    with (
        kvsieve.Plan(method, CONFIG.model, **settings(info, **more)) as plan,
        pytest.raises(ValueError, match="one mask serves all"),
    ):
        decoder.compress(plan, out)
    assert decoder.past["past.0.key"].shape[2] == PROMPT

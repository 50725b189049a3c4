"""ONNX Runtime with past_key_values as numpy arrays: a prompt, compressed once, then tokens. Run: python onnxruntime_loop.py [method]

The cache is compressed between two runs of the session. Rows keep their rotation, so the next token's position is the number of
tokens seen, and `position_ids` says so; a model without that input counts rows: then keys are rotated to 0, 1, 2, ... (`rope`).
A graph has one mask, and GroupQueryAttention one length, for all layers and heads: all must keep as many rows (even=1).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx_decoder import grouped, hand_out_queries, plain
from small_decoder import Config, random_weights

import kvsieve

Arrays = dict[str, Any]


class Decoder:
    """A session, and the rows of its last run. `tokens`: how many it has seen."""

    def __init__(self, model: Any, config: Config) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.inputs = {each.name for each in self.session.get_inputs()}
        self.outputs = [each.name for each in self.session.get_outputs()]
        self.config, self.tokens = config, 0
        empty = np.zeros((1, config.kv_heads, 0, config.head_dim), np.float32)
        self.past: Arrays = {name: empty for name in self.inputs if name.startswith("past.")}

    def run(self, ids: list[int]) -> Arrays:
        """New tokens, after what is in the cache. Everything that the session returns."""
        n, rows = len(ids), self.past["past.0.key"].shape[2]
        feed: Arrays = {
            "ids": np.array([ids]),
            "position_ids": np.arange(self.tokens, self.tokens + n)[None],
            "mask": np.where(np.tril(np.ones((n, rows + n), bool), rows), np.float32(0), np.float32(-np.inf))[
                None, None
            ],
            "seqlens_k": np.array([rows + n - 1], np.int32),
            "total_sequence_length": np.array(rows + n, np.int32),
        }
        feed = {name: array for name, array in feed.items() if name in self.inputs}
        out = dict(zip(self.outputs, self.session.run(self.outputs, {**feed, **self.past})))
        self.past = {name: out[name.replace("past", "present")] for name in self.past}
        self.tokens += n
        return out

    def compress(self, plan: kvsieve.Plan, out: Arrays, rope: kvsieve.Rope | None = None) -> None:
        """`out`: of the run that read the prompt."""
        for layer in range(self.config.layers):
            keys, values = out[f"present.{layer}.key"], out[f"present.{layer}.value"]
            if f"qk.{layer}" in out and "queries" in plan.needs(layer):  # GroupQueryAttention
                plan.observe(layer, attention=out[f"qk.{layer}"][0], values=values)
            else:
                plan.observe(layer, out.get(f"query.{layer}"), keys, values)
        plan.finish()
        counts = {int(count) for layer in range(self.config.layers) for count in plan.kept(layer).counts}
        if len(counts) > 1:
            raise ValueError(f"{plan.method.name} keeps {sorted(counts)} rows: one mask serves all; set even=1")
        for layer in range(self.config.layers):
            for part, turn in (("key", rope), ("value", None)):
                small = np.empty((1, self.config.kv_heads, *counts, self.config.head_dim), np.float32)
                plan.gather(layer, out[f"present.{layer}.{part}"], out=small[0], rope=turn)
                self.past[f"past.{layer}.{part}"] = small


def main() -> None:
    method, config = (sys.argv[1:] or ["dynamickv"])[0], Config()
    weights = random_weights(config)
    prompt = np.random.default_rng(1).integers(0, config.words, 300).tolist()
    for name, model in (
        ("MatMul and Softmax", plain(config, weights)),
        ("GroupQueryAttention", grouped(config, weights)),
    ):
        hand_out_queries(model, config.query_heads, config.head_dim)
        decoder = Decoder(model, config)
        out = decoder.run(prompt)
        with kvsieve.Plan(method, config.model, budget=96, even=1) as plan:
            decoder.compress(plan, out)
        rows, answer = decoder.past["past.0.key"].shape[2], [int(out["logits"][0, -1].argmax())]
        while len(answer) < 8:
            answer.append(int(decoder.run(answer[-1:])["logits"][0, -1].argmax()))
        print(f"{name}: {rows} of {len(prompt)} rows, then the tokens {answer}")


if __name__ == "__main__":
    main()

"""What one method keeps of a small random cache. Run: python quickstart.py [method]"""

import sys

import numpy as np

import kvsieve

LAYERS, QUERY_HEADS, KV_HEADS, TOKENS, DIM = 4, 8, 2, 600, 64
method = sys.argv[1] if len(sys.argv) > 1 else "dynamickv"

model = kvsieve.Model(LAYERS, QUERY_HEADS, KV_HEADS, DIM)
random = np.random.default_rng(0)
keys, values = random.standard_normal((2, LAYERS, KV_HEADS, TOKENS, DIM), np.float32)
queries = random.standard_normal((LAYERS, QUERY_HEADS, TOKENS, DIM), np.float32)

with kvsieve.Plan(method, model) as plan:
    if plan["budget"]:  # else the method goes by a share of the tokens
        plan["budget"] = 128
    for layer in range(LAYERS):  # during prefill, in order
        plan.observe(layer, queries[layer], keys[layer], values[layer])
    plan.finish()

    print(kvsieve.build_info())
    print(f"{plan.method.name}, {plan.method.paper}: {plan.method.summary}")
    for layer in range(LAYERS):
        kept = plan.kept(layer)
        small = plan.gather(layer, keys[layer])
        print(
            f"layer {layer}: {kept.counts.tolist()} of {kept.tokens} tokens a head, first {kept.head(0)[:4].tolist()},"
            f" keys {keys[layer].nbytes} -> {small.nbytes} bytes"
        )

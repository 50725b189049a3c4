"""A decoder in JAX that reads a prompt, compresses its cache and generates, all in one jax.jit. Run: python jax_decoder.py [method]

libkvsieve works on the host, so the compiled function calls it by jax.pure_callback, whose results have shapes that are known before:
Plan.bound says how many rows a head keeps at most, and `counts` how many it kept. Heads may keep different numbers of rows: what is
behind a head's own rows is masked. jax.vmap over sequences makes a plan for each. Parameters are a dict, as Flax has them.
Letters: L layers, Hq query heads, H key/value heads, D head size, T tokens of the prompt, n new ones, R rows of a cache.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from small_decoder import Config, random_weights

import kvsieve


class Cache(NamedTuple):
    keys: Any
    """(L, H, R, D)"""
    values: Any
    seen: Any
    """(L, H, R): whether a row holds a token."""
    rows: Any
    """Where the next token's row is."""
    tokens: Any
    """The next token's position."""


def empty(config: Config, rows: int) -> Cache:
    shape = (config.layers, config.kv_heads, rows)
    zeros = jnp.zeros((*shape, config.head_dim))
    return Cache(zeros, zeros, jnp.zeros(shape, bool), jnp.int32(0), jnp.int32(0))


def forward(config: Config, params: Any, ids: Any, cache: Cache) -> tuple[Any, Cache, Any]:
    """Of n new tokens: logits (n, V), the cache with their rows, their queries (L, Hq, n, D)."""
    n, group = ids.shape[0], config.query_heads // config.kv_heads
    angles = (cache.tokens + jnp.arange(n))[:, None] * config.frequencies
    cosine, sine = jnp.cos(angles), jnp.sin(angles)

    def norm(x: Any, weight: Any) -> Any:
        return x / jnp.sqrt((x * x).mean(axis=-1, keepdims=True) + config.epsilon) * weight

    def heads(x: Any) -> Any:
        return x.reshape(n, -1, config.head_dim).swapaxes(0, 1)

    def rotated(x: Any) -> Any:
        a, b = jnp.split(x, 2, axis=-1)
        return jnp.concatenate([a * cosine - b * sine, b * cosine + a * sine], axis=-1)

    columns = jnp.arange(cache.keys.shape[2])
    new = (columns >= cache.rows) & (columns <= cache.rows + jnp.arange(n)[:, None])  # (n, R): itself and before
    x, all_queries = params["embed"][ids], []
    for layer in range(config.layers):
        y = norm(x, params[f"{layer}.norm1"])
        queries, keys = rotated(heads(y @ params[f"{layer}.q"])), rotated(heads(y @ params[f"{layer}.k"]))
        at = (layer, 0, cache.rows, 0)
        cache = cache._replace(
            keys=jax.lax.dynamic_update_slice(cache.keys, keys[None], at),
            values=jax.lax.dynamic_update_slice(cache.values, heads(y @ params[f"{layer}.v"])[None], at),
        )
        wide = [jnp.repeat(rows[layer], group, axis=0) for rows in (cache.keys, cache.values)]
        visible = jnp.repeat(cache.seen[layer], group, axis=0)[:, None] | new
        logits = jnp.where(visible, queries @ wide[0].swapaxes(1, 2) / config.head_dim**0.5, -jnp.inf)
        mixed = (jax.nn.softmax(logits, axis=-1) @ wide[1]).swapaxes(0, 1).reshape(n, -1)
        x = x + mixed @ params[f"{layer}.o"]
        y = norm(x, params[f"{layer}.norm2"])
        x = x + (jax.nn.silu(y @ params[f"{layer}.gate"]) * (y @ params[f"{layer}.up"])) @ params[f"{layer}.down"]
        all_queries.append(queries)
    seen = cache.seen | new[-1]
    cache = cache._replace(seen=seen, rows=cache.rows + n, tokens=cache.tokens + n)
    return norm(x, params["norm"]) @ params["head"], cache, jnp.stack(all_queries)


def compress(config: Config, cache: Cache, queries: Any, method: str, more: int, **parameters: Any) -> Cache:
    """Of a prompt's cache: what the method keeps, and room for so many more tokens. It may be traced."""
    tokens = cache.keys.shape[2]
    with kvsieve.Plan(method, config.model, **parameters) as plan:
        most = max(plan.bound(layer, tokens) for layer in range(config.layers))
    shape = (config.layers, config.kv_heads, most, config.head_dim)

    def on_host(queries: Any, keys: Any, values: Any) -> tuple[Any, Any, Any]:
        queries, keys, values = map(np.asarray, (queries, keys, values))  # the same memory
        small = np.zeros((2, *shape), keys.dtype)
        with kvsieve.Plan(method, config.model, **parameters) as plan:
            for layer in range(config.layers):
                plan.observe(layer, queries[layer], keys[layer], values[layer])
            plan.finish()
            for layer in range(config.layers):
                plan.gather(layer, keys[layer], out=small[0, layer])
                plan.gather(layer, values[layer], out=small[1, layer])
            counts = np.array([plan.kept(layer).counts for layer in range(config.layers)], np.int32)
        return small[0], small[1], counts

    rows = jax.ShapeDtypeStruct(shape, cache.keys.dtype)
    results = (rows, rows, jax.ShapeDtypeStruct(shape[:2], jnp.int32))
    keys, values, counts = jax.pure_callback(
        on_host, results, queries, cache.keys, cache.values, vmap_method="sequential"
    )
    room = ((0, 0), (0, 0), (0, more), (0, 0))
    seen = jnp.arange(most + more) < counts[..., None]
    return Cache(jnp.pad(keys, room), jnp.pad(values, room), seen, jnp.int32(most), cache.tokens)


def generate(config: Config, params: Any, prompt: Any, method: str, new: int, **parameters: Any) -> tuple[Any, Any]:
    """`new` tokens after a prompt (T,), greedily, from what the method keeps of it; and their logits (new, V)."""
    logits, cache, queries = forward(config, params, prompt, empty(config, prompt.shape[0]))
    cache = compress(config, cache, queries, method, new, **parameters)

    def step(carry: tuple[Any, Cache], _: Any) -> tuple[tuple[Any, Cache], tuple[Any, Any]]:
        token, cache = carry
        logits, cache, _ = forward(config, params, token[None], cache)
        return (logits[0].argmax(), cache), (token, logits[0])

    _, made = jax.lax.scan(step, (logits[-1].argmax(), cache), length=new)
    tokens, after = made
    return tokens, after


def main() -> None:
    method, config = (sys.argv[1:] or ["dynamickv"])[0], Config()
    params = {name: jnp.asarray(array) for name, array in random_weights(config).items()}
    prompt = jnp.asarray(np.random.default_rng(1).integers(0, config.words, 300))
    parameters = {} if method == "taskkv" else {"budget": 96}
    run = jax.jit(lambda params, prompt: generate(config, params, prompt, method, 8, **parameters)[0])
    print(f"{method}, {parameters or 'default'} of 300 tokens, then the tokens {run(params, prompt).tolist()}")


if __name__ == "__main__":
    main()

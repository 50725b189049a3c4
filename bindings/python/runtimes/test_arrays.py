"""Arrays of jax, mlx, tensorflow and ml_dtypes go in as they are, and what comes out becomes one of theirs again, bit for bit."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import exact
import jax
import jax.numpy as jnp
import ml_dtypes
import mlx.core as mx
import numpy as np
import pytest

import kvsieve

assert exact.ROOT  # the library's path is set
MODEL = kvsieve.Model(2, 4, 2, 32)
TOKENS, WINDOW = 200, 8
DTYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def of_jax(array: Any) -> Any:
    return jnp.asarray(array)


def of_mlx(array: Any) -> Any:
    """Lazy: the numbers are there when somebody asks."""
    if array.dtype == ml_dtypes.bfloat16:
        return mx.array(array.astype(np.float32)).astype(mx.bfloat16)
    return mx.array(array)


def of_tensorflow(array: Any) -> Any:
    import tensorflow

    return tensorflow.constant(array)


def bits(array: Any) -> Any:
    return np.asarray(array).view(np.uint8)


def of_mlx_back(array: Any) -> Any:
    """numpy has no bfloat16 of its own: float32 holds each."""
    return (
        np.array(array.astype(mx.float32)).astype(ml_dtypes.bfloat16) if array.dtype == mx.bfloat16 else np.array(array)
    )


PACKAGES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "jax": (of_jax, np.asarray),
    "mlx": (of_mlx, of_mlx_back),
    "tensorflow": (of_tensorflow, np.asarray),
}


def through(layers: list[tuple[Any, Any, Any]]) -> tuple[list[list[int]], list[Any]]:
    with kvsieve.Plan("dynamickv", MODEL, budget=48, window=WINDOW) as plan:
        for layer, (queries, keys, values) in enumerate(layers):
            plan.observe(layer, queries, keys, values)
        plan.finish()
        gathered = [plan.gather(layer, array) for layer, (_, *arrays) in enumerate(layers) for array in arrays]
        return [plan.kept(layer).positions.tolist() for layer in range(MODEL.layers)], gathered


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("package", PACKAGES)
def test_round_trip(package: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    shapes = ((4, WINDOW, 32), (2, TOKENS, 32), (2, TOKENS, 16))
    arrays = [tuple(rng.standard_normal(shape).astype(DTYPES[dtype]) for shape in shapes) for _ in range(MODEL.layers)]
    theirs, back = PACKAGES[package]
    want, rows = through([(q, k, v) for q, k, v in arrays])
    got, found = through([(theirs(q), theirs(k), theirs(v)) for q, k, v in arrays])
    assert got == want
    for a, b in zip(rows, found):
        np.testing.assert_array_equal(bits(a), bits(b))
        again = back(theirs(b))
        assert again.dtype == a.dtype
        np.testing.assert_array_equal(bits(a), bits(again))


def test_a_tracer_of_jax_is_refused() -> None:
    def traced(keys: Any) -> Any:
        with kvsieve.Plan("keydiff", kvsieve.Model(1, 2, 2, 32), budget=48) as plan:
            plan.observe(0, None, keys)
        return keys

    with pytest.raises((TypeError, ValueError), match="(?i)tracer"):
        jax.jit(traced)(jnp.zeros((2, TOKENS, 32)))

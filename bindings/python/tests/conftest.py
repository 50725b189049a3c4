"""What the tests share: where things are, a seeded cache, a C compiler, arrays that only speak DLPack.

KVSIEVE_LIBRARY (default: the release build of this repository) and KVSIEVE_INCLUDE (default: its include/) choose what
is tested.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
INCLUDE = Path(os.environ.get("KVSIEVE_INCLUDE", ROOT / "include"))
os.environ.setdefault("KVSIEVE_LIBRARY", str(ROOT / ".build/release/libkvsieve.so"))
LIBRARY = Path(os.environ["KVSIEVE_LIBRARY"])

from registry import settings

import kvsieve

LAYERS, QUERY_HEADS, KV_HEADS, TOKENS, DIM, WINDOW = 4, 4, 2, 200, 16, 8
MODEL = kvsieve.Model(LAYERS, QUERY_HEADS, KV_HEADS, DIM)
SMALL = {"window": WINDOW, "sinks": 4, "recent": 16, "semantic": 32, "size": 8, "shared": 2}


def parameters(method: kvsieve.MethodInfo) -> dict[str, Any]:
    """Parameters that make every method drop something of TOKENS tokens (test_parity.py checks that)."""
    return settings(method, budget=64, ratio=0.5, **SMALL)


def noise(stream: int, *shape: int) -> np.ndarray:
    """Uniform in [-2, 2), the same float32 in C (tests/parity.c): splitmix64 of the index, its upper 24 bits."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(stream << 32)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 22) - np.float32(2)).reshape(shape)


class Cache:
    """Queries, keys and values of every layer, (L, heads, tokens, D) float32: of all tokens, whatever a method reads."""

    def __init__(self, tokens: int = TOKENS) -> None:
        self.queries = noise(1, LAYERS, QUERY_HEADS, tokens, DIM)
        self.keys = noise(2, LAYERS, KV_HEADS, tokens, DIM)
        self.values = noise(3, LAYERS, KV_HEADS, tokens, DIM)

    def layer(self, layer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.queries[layer], self.keys[layer], self.values[layer]

    def through(self, plan: kvsieve.Plan) -> kvsieve.Plan:
        for layer in range(LAYERS):
            plan.observe(layer, *self.layer(layer))
        plan.finish()
        return plan


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture(params=[method.name for method in kvsieve.methods()])
def method(request: pytest.FixtureRequest) -> kvsieve.MethodInfo:
    """Every method of the library in turn."""
    return next(method for method in kvsieve.methods() if method.name == request.param)


@pytest.fixture
def plan(cache: Cache) -> kvsieve.Plan:
    """A finished plan."""
    return cache.through(fresh())


def fresh(**more: float) -> kvsieve.Plan:
    return kvsieve.Plan("dynamickv", MODEL, budget=64, window=WINDOW, **more)


def compile_c(source: Path, output: Path, *flags: str) -> Path:
    """`cc source -o output`, strict; fails the test with the compiler's words."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or "cc"
    command = [
        compiler,
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{INCLUDE}",
        str(source),
        "-o",
        str(output),
        *flags,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return output


def refused(name: str, call: Any, *arguments: Any, **keywords: Any) -> kvsieve.KVSieveError:
    with pytest.raises(kvsieve.KVSieveError) as caught:
        call(*arguments, **keywords)
    error = caught.value
    assert (error.name, error.status < 0) == (name, True)
    assert error.message and str(error) == f"{name}: {error.message}"
    return error

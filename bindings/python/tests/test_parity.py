"""Python gets what C gets: the same cache through parity.c, compiled here and linked to the library under test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, LIBRARY, MODEL, QUERY_HEADS, TOKENS, WINDOW, Cache, compile_c, parameters

import kvsieve


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    library = folder / "libkvsieve.so.0"  # the name that the program will ask the loader for
    library.symlink_to(LIBRARY.resolve())
    source = Path(__file__).with_name("parity.c")
    return compile_c(source, folder / "parity", str(library), f"-Wl,-rpath,{folder}")


def printed_by_c(program: Path, method: kvsieve.MethodInfo, tokens: int) -> list[str]:
    shape = (LAYERS, QUERY_HEADS, KV_HEADS, tokens, DIM)
    ids = {info.name: info.id for info in method.parameters}
    settings = [f"{ids[name]}={value}" for name, value in parameters(method).items()]
    command = [str(program), str(method.id), *map(str, shape), *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def fnv(array: np.ndarray) -> int:
    value = 0xCBF29CE484222325
    for byte in array.tobytes():
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def as_c_prints(layer: kvsieve.Layer) -> str:
    kept = layer.kept
    offsets, positions = (" ".join(map(str, array.tolist())) for array in (kept.offsets, kept.positions))
    return f"{offsets} | {positions} | {kept.longest} {kept.total} {kept.tokens} {fnv(layer.keys):016x}"


@pytest.mark.parametrize("tokens", [TOKENS, WINDOW - 3], ids=["prompt", "short prompt"])
def test_python_is_c(program: Path, method: kvsieve.MethodInfo, tokens: int) -> None:
    cache = Cache(tokens)
    layers = kvsieve.compress(method.name, cache.queries, cache.keys, cache.values, **parameters(method))
    assert [as_c_prints(layer) for layer in layers] == printed_by_c(program, method, tokens)


def test_the_cache_is_one_that_every_method_cuts(method: kvsieve.MethodInfo) -> None:
    with kvsieve.Plan(method.id, MODEL, **parameters(method)) as plan:
        Cache().through(plan)
        assert all(plan.kept(layer).total < KV_HEADS * TOKENS for layer in range(LAYERS))

"""The parameter coarse: keys in q8_0 multiplied as bytes, beside the same keys as floats."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import noise
from test_paged import decoded, quantised

import kvsieve


@pytest.mark.parametrize("method", [info.name for info in kvsieve.methods()])
def test_coarse_keeps_nearly_the_same_rows(method: str) -> None:
    """Of keys in q8_0 by bytes, seeds 20 to 27; rows at random would be a fifth the same. By floats "1 changes nothing"."""
    model = kvsieve.Model(1, 4, 2, 64)
    info = next(info for info in kvsieve.methods() if info.name == method)
    if all(parameter.name != "coarse" for parameter in info.parameters):
        with pytest.raises(ValueError, match=f"{method} has no parameter 'coarse'"):
            kvsieve.Plan(method, model, coarse=1)
        return
    share = {"ratio": 0.6} if method == "taskkv" else {"budget": 120}

    def kept(seed: int, keys: Any, **more: float) -> list[set[int]]:
        queries, values = noise(seed, 4, 600, 64), noise(seed + 100, 2, 600, 64)
        with kvsieve.Plan(method, model, **share, **more) as plan:
            plan.observe(0, queries, keys, values)
            plan.finish()
            return [set(plan.kept(0).head(head).tolist()) for head in range(2)]

    same = rows = 0
    for seed in range(20, 28):
        keys = quantised("q8_0", 2, 600, seed)
        plain = kept(seed, kvsieve.Quantised(keys, "q8_0"))
        coarse = kept(seed, kvsieve.Quantised(keys, "q8_0"), coarse=1)
        assert kept(seed, decoded("q8_0", keys), coarse=1) == plain
        same += sum(len(a & b) for a, b in zip(plain, coarse, strict=True))
        rows += sum(len(a) for a in plain)
    assert same >= 0.97 * rows, f"{same} of {rows}"


BOTH_WAYS = """
from conftest import noise
from test_paged import quantised
import kvsieve
for coarse in (0, 1):
    kept = []
    for seed in range(20, 24):
        with kvsieve.Plan("snapkv", kvsieve.Model(1, 4, 2, 64), budget=120, coarse=coarse) as plan:
            plan.observe(0, noise(seed, 4, 600, 64), kvsieve.Quantised(quantised("q8_0", 2, 600, seed), "q8_0"))
            plan.finish()
            kept += plan.kept(0).positions.tolist()
    print(kept)
"""


@pytest.mark.parametrize("asked", [None, "", "V3", "v5", "base", "v2", "v3", "v4", "v4bf16"])
def test_it_changes_nothing_where_the_variable_has_one_of_its_values(asked: str | None) -> None:
    """ "where KVSIEVE_ISA is set to one of its values, 1 changes nothing." Other values count as none, as kvsieve_build_info says."""
    environment = {name: value for name, value in os.environ.items() if name != "KVSIEVE_ISA"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), environment.get("PYTHONPATH", "")])
    if asked is not None:
        environment["KVSIEVE_ISA"] = asked
    command = [sys.executable, "-c", BOTH_WAYS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    plain, coarse = done.stdout.splitlines()
    flags = set(Path("/proc/cpuinfo").read_text().split("\n\n")[0].split())
    multiplies_bytes = {"avx2", "fma"} <= flags and bool({"avx512_vnni", "avx_vnni"} & flags)
    assert (plain != coarse) == (multiplies_bytes and asked in (None, "", "V3", "v5"))


def test_quantised_takes_the_name_as_the_header_writes_it() -> None:
    rows = np.zeros((1, 2, 34), np.uint8)
    assert kvsieve.Quantised(rows, "Q8_0").dtype == "q8_0"
    with pytest.raises(ValueError, match=r"dtype is 'Q9': expected q8_0, "):
        kvsieve.Quantised(rows, "Q9")


@pytest.mark.parametrize("coarse", [0, 1])
def test_scales_that_would_overflow_meet_zeros(coarse: int) -> None:
    """A query's scale of 2.4e34 and a key's of 65504, but all bytes that meet the large number are 0: logits are finite."""
    keys = quantised("q8_0", 1, 200, 3)
    keys[0, 3, :2] = np.frombuffer(np.float16(65504).tobytes(), np.uint8)
    keys[0, 3, 2:34] = 1
    keys[0, :, 2] = 0
    queries = np.full((1, 8, keys.shape[2] // 34 * 32), 1e-3, np.float32)
    queries[0, -1, 0] = 3e36
    with kvsieve.Plan(
        "snapkv", kvsieve.Model(1, 1, 1, queries.shape[2], 1.0), budget=40, window=8, coarse=coarse
    ) as plan:
        plan.observe(0, queries, kvsieve.Quantised(keys, "q8_0"))
        plan.finish()
        assert plan.kept(0).total == 40

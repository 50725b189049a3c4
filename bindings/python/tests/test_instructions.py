"""Which kernels the library uses, against what Linux says of the processor. Each case is a process of its own: the choice is made once."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

V2 = {"pni", "ssse3", "sse4_1", "sse4_2", "popcnt"}
V3 = V2 | {"avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"}
V4 = V3 | {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}


def processor() -> tuple[str, set[str]]:
    """Its vendor and features."""
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    lines = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    return lines.get("vendor_id", ""), set(lines.get("flags", "").split())


def expected(asked: str) -> str:
    if platform.machine() != "x86_64":
        return "neon"
    vendor, has = processor()
    if asked == "base" or not has >= V2:
        return "sse2"
    if asked == "v2" or not has >= V3:
        return "sse4.2"
    if asked == "v3" or not has >= V4:
        return "avx2"
    # Intel multiplies pairs of bfloat16 more slowly than floats.
    pairs = "avx512_bf16" in has and (vendor != "GenuineIntel" or asked == "v4bf16")
    return "avx512bf16" if pairs and asked != "v4" else "avx512"


@pytest.mark.parametrize("asked", ["", "base", "v2", "v3", "v4", "v4bf16", "v5"])
def test_kernels_are_what_the_processor_has_and_the_variable_asks_for(asked: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KVSIEVE_ISA"}
    if asked:
        environment["KVSIEVE_ISA"] = asked
    code = "import kvsieve; print(kvsieve.build_info())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split(", ")[1] == expected(asked)

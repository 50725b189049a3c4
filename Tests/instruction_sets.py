"""What the values of KVSIEVE_ISA are, for the parts that run the library with one of them."""

from __future__ import annotations

INSTRUCTION_SETS = {
    "base": ("sse2", "neon"),
    "v2": ("sse4.2",),
    "v3": ("avx2",),
    "v4": ("avx512",),
    "v4bf16": ("avx512bf16",),
}
"""What kvsieve_build_info() names if KVSIEVE_ISA has this value and the processor has these instructions."""

"""A golden case: a seeded cache and a method's parameters. Tests/Golden/cases/<method>.py has those that reach its rules."""

from __future__ import annotations

from dataclasses import dataclass

from reference.shares import Parameters


@dataclass
class Case:
    name: str
    layers: int
    query_heads: int
    kv_heads: int
    head_dim: int
    tokens: int
    parameters: Parameters
    """Those that differ from the defaults."""
    scale: float = 0  # 0: 1/sqrt(D)
    dtype: str = "f32"
    zero: str = ""


def case(
    name: str, shape: str, tokens: int, /, *, scale: float = 0, dtype: str = "f32", zero: str = "", **p: float
) -> Case:
    """shape: "L Hq:H D"."""
    layers, heads, dim = shape.split()
    query_heads, kv_heads = heads.split(":")
    return Case(name, int(layers), int(query_heads), int(kv_heads), int(dim), tokens, p, scale, dtype, zero)

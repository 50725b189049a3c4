"""Random's golden cases. Its numbers are exact: no margin."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("seed 0", "2 8:2 8", 300, budget=80),
    case("R1 layers, heads and another seed", "5 4:4 8", 150, budget=40, seed=7, recent=3),
    case("the greatest seed, none is recent", "2 2:2 8", 200, budget=50, seed=2**31 - 1, recent=0),
    case("by ratio", "1 2:1 8", 300, ratio=0.57, seed=1),
    case("only the recent tokens: C = recent", "1 2:1 8", 90, budget=32),
    case("kept whole: T = C", "2 4:2 8", 40, budget=40),
    case("two thousand tokens, f16", "1 1:1 8", 2000, budget=256, seed=123456789, dtype="f16"),
]

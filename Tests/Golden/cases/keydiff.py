"""KeyDiff's golden cases."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("two heads", "2 8:2 64", 300, budget=80),
    case("none is recent, bf16", "3 4:4 33", 211, budget=50, recent=0, dtype="bf16"),
    case("only the recent tokens: C = recent", "1 2:1 8", 90, budget=32),
    case("by ratio", "2 6:3 8", 300, ratio=0.29, recent=5),
    case("keys of nothing: all equal, ties to the first", "1 4:2 8", 90, budget=50, recent=7, zero="keys"),
    case("kept whole: T = C", "2 4:2 8", 40, budget=40),
    case("kept whole by ratio: T = recent", "2 4:2 8", 32, ratio=0.1),
    case("two thousand tokens, f16", "1 4:1 64", 2000, budget=256, dtype="f16"),
]

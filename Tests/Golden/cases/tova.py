"""TOVA's golden cases."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("two heads of four queries, one choice", "2 8:2 64", 300, budget=80),
    case("a query a head, own scale, bf16", "3 4:4 33", 211, budget=50, scale=0.25, dtype="bf16"),
    case("sixteen queries", "2 16:1 33", 260, budget=100),
    case("by ratio", "2 6:3 8", 300, ratio=0.29),
    case("the last token alone: C = 1", "2 4:2 8", 50, budget=1),
    case("all scores equal: ties to the first", "1 4:2 8", 64, budget=20, zero="queries"),
    case("kept whole: T = C", "2 4:2 8", 40, budget=40),
    case("two thousand tokens, f16", "1 4:1 64", 2000, budget=256, dtype="f16"),
]

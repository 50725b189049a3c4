"""H2O's golden cases."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("group of four", "2 8:2 64", 300, budget=80),
    case(
        "more rows than go together, own scale, bf16",
        "1 4:4 33",
        211,
        budget=50,
        recent_ratio=0.25,
        scale=0.25,
        dtype="bf16",
    ),
    case("H1 one recent token at least, f16", "2 2:1 8", 90, budget=30, recent_ratio=0, dtype="f16"),
    case("only recent tokens", "1 4:2 8", 70, budget=16, recent_ratio=1),
    case("kept whole: T = C", "2 4:2 8", 40, budget=40),
    case("H1 a decimal: floor(0.29 * 100) = 29", "1 4:2 33", 200, budget=100, recent_ratio=0.29),
    case("by ratio", "2 4:2 8", 150, ratio=0.29),
]

"""Ada-KV's golden cases."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("eight heads", "3 8:8 33", 300, budget=72),
    case("heads of four queries, mean pool", "2 16:4 64", 400, budget=90, pool=0),
    case("floor 0: the heads' places alone", "2 4:4 8", 200, budget=50, floor=0, window=8),
    case("floor 1: SnapKV", "2 4:4 8", 200, budget=50, floor=1, window=8),
    case("half to even", "4 6:6 8", 130, budget=33, floor=0.5, window=8, pool_kernel=1),
    case(
        "the floor is a decimal: floor(0.29 * 100) = 29",
        "2 3:3 33",
        260,
        budget=108,
        floor=0.29,
        window=8,
        pool_kernel=5,
    ),
    case("one head", "2 4:1 33", 150, budget=45),
    case("by ratio, own scale, bf16", "2 8:4 33", 300, ratio=0.3, scale=0.25, dtype="bf16"),
    case("all scores equal: ties to the lower head, then position", "2 4:4 8", 64, budget=20, window=8, zero="queries"),
    case("only the window: C = W", "1 2:2 8", 90, budget=32),
    case("kept whole: T = C", "2 4:2 8", 72, budget=72),
    case("two thousand tokens, f16", "1 8:8 64", 2000, budget=256, dtype="f16"),
]

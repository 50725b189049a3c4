"""DynamicKV's golden cases."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("eight layers, mean pool", "8 4:2 64", 400, budget=72),
    case(
        "D7 a last update of its own, D13 max pool",
        "7 16:1 33",
        350,
        budget=60,
        window=9,
        pool_kernel=5,
        pool=1,
        every=3,
    ),
    case("D1 more than the layer still holds", "6 3:3 8", 200, budget=50, cap=1.5, every=2),
    case("D2 kept whole: T = C", "2 4:2 8", 72, budget=72),
    case("D2 kept whole: T below the window", "2 4:2 8", 6, budget=32),
    case("D3 no share is whole: an even split", "8 1:1 8", 90, budget=9, pool_kernel=1, every=2),
    case("D3 a cap too small to share", "6 4:4 8", 90, budget=9, cap=1, every=3),
    case(
        "all scores equal: ties to the lower layer, head, position",
        "4 4:2 8",
        64,
        budget=20,
        pool=1,
        every=2,
        zero="queries",
    ),
    case("one layer, one head", "1 1:1 64", 300, budget=40, window=16, pool_kernel=3),
    case("one update, candidates few", "4 8:2 33", 90, budget=80, every=9, scale=0.1875),
    case("two thousand tokens, bf16", "3 4:2 64", 2000, budget=200, cap=5, every=1, pool=1, dtype="bf16"),
    case("f16", "5 4:4 33", 260, budget=48, window=4, every=2, dtype="f16"),
    case("D14 by the largest count", "8 4:2 64", 400, budget=72, normal=1),
    case("D14 every layer, a cap of 1.3", "5 4:4 33", 260, budget=48, every=1, cap=1.3, normal=1),
    case("D14 all scores equal", "4 4:2 8", 64, budget=20, pool=1, every=2, normal=1, zero="queries"),
    case("the cap is a decimal, by ratio", "6 3:3 8", 200, ratio=0.29, cap=1.1, every=2),
]

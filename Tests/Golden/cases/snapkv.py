"""SnapKV's golden cases."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("group of four", "2 8:2 64", 600, budget=160),
    case("max pool: plateaus", "3 16:1 33", 350, budget=60, window=9, pool_kernel=5, pool=1),
    case("unpooled, own scale, bf16", "2 4:4 33", 211, budget=50, pool_kernel=1, scale=0.25, dtype="bf16"),
    case("by ratio, exactly: floor(0.29 * 300) = 87", "2 6:3 8", 300, ratio=0.29, window=5),
    case("only the window: C = W", "1 2:1 8", 90, budget=32),
    case("kept whole: T = C", "2 4:2 8", 72, budget=72),
    case("kept whole by ratio: T = W", "2 4:2 8", 32, ratio=0.1),
    case("all scores equal: ties to the first", "2 4:2 8", 64, budget=20, window=8, zero="queries"),
    case("two thousand tokens, f16", "1 4:1 64", 2000, budget=256, dtype="f16"),
]
